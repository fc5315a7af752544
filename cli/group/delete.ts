/** `kappalog group delete`, `delete-offsets` and `remove-member`. */
import type { Admin, MemberIdentity, TopicPartition } from '../../client/index.ts';
import { CliError, usageError } from '../cli-error.ts';
import { confirm, withClient } from '../client.ts';
import type { ClientOptions, CommandContext } from '../command-context.ts';
import { ExitCode } from '../exit-codes.ts';
import { countOf } from '../table.ts';
import { showPartitions } from './describe.ts';
import { refuseMissing } from './groups.ts';
import { parseTopics, selects } from './topic-selection.ts';

export interface ConfirmedOptions extends ClientOptions {
  readonly yes?: boolean;
}

/** Deletes groups once they all exist and somebody has said yes. */
export async function deleteGroups(
  names: readonly string[],
  options: ConfirmedOptions,
  context: CommandContext,
): Promise<void> {
  await withClient(options, async (client) => {
    const admin = client.admin();
    await refuseMissing(admin, names);
    await confirm(
      `This deletes the committed offsets of ${names.join(', ')}.`,
      { yes: options.yes === true },
      context,
    );
    await admin.deleteGroups(names);
    context.output.result({ deleted: names }, () => names.map((name) => `Deleted group ${name}.`).join('\n'));
  });
}

export interface DeleteOffsetsOptions extends ConfirmedOptions {
  readonly topic: readonly string[];
}

/** Deletes what a group has committed for some topics; of a live group only for those that none of its members reads. */
export async function deleteOffsets(
  name: string,
  options: DeleteOffsetsOptions,
  context: CommandContext,
): Promise<void> {
  const selection = parseTopics(options.topic);
  await withClient(options, async (client) => {
    const admin = client.admin();
    await refuseMissing(admin, [name]);
    const offsets = await admin.fetchGroupOffsets(name);
    const partitions = offsets.filter((each) => selects(selection, each)).map(onlyPlace);
    if (partitions.length === 0) {
      throw new CliError(
        'UNKNOWN_PARTITION',
        `Group ${name} has committed nothing for ${options.topic.join(', ')}.`,
        {
          exitCode: ExitCode.notFound,
        },
      );
    }
    await confirm(
      `This deletes what ${name} has committed for ${showPartitions(partitions)}.`,
      { yes: options.yes === true },
      context,
    );
    const results = await admin.deleteGroupOffsets(name, partitions);
    const failed = results.filter(({ error }) => error !== null);
    const deleted = results.filter(({ error }) => error === null).map(onlyPlace);
    if (failed.length > 0) throw partly(failed[0]!.error!, deleted.length);
    context.output.result(
      { group: name, deleted },
      () => `Deleted ${countOf(deleted.length, 'offset')} of ${name}.`,
    );
  });
}

function onlyPlace({ topic, partition }: TopicPartition): TopicPartition {
  return { topic, partition };
}

function partly(error: Error & { readonly code: string }, done: number): CliError {
  const before = done === 0 ? '' : ` ${countOf(done, 'other was', 'others were')} done.`;
  const exitCode = done === 0 ? ExitCode.error : ExitCode.partial;
  return new CliError(error.code, `${error.message}${before}`, { exitCode, cause: error });
}

export interface RemoveMemberOptions extends ConfirmedOptions {
  readonly instance?: readonly string[];
  readonly member?: readonly string[];
  readonly all?: boolean;
}

/** Takes members out: static ones that do not come back, or any that is stuck. One that is alive joins again. */
export async function removeMembers(
  name: string,
  options: RemoveMemberOptions,
  context: CommandContext,
): Promise<void> {
  const { instance = [], member = [], all = false } = options;
  if (all === instance.length + member.length > 0) {
    throw usageError('Say which members: --instance NAME, --member ID, or --all.');
  }
  await withClient(options, async (client) => {
    const admin = client.admin();
    await refuseMissing(admin, [name]);
    const members = all ? await everyMember(admin, name) : identities(instance, member);
    if (members.length === 0) throw new CliError('NO_MEMBERS', `Group ${name} has no members.`);
    await confirm(
      `This takes ${countOf(members.length, 'member')} out of ${name}.`,
      { yes: options.yes === true },
      context,
    );
    const results = await admin.removeGroupMembers(name, members);
    const failed = results.filter(({ error }) => error !== null);
    if (failed.length > 0) throw partly(failed[0]!.error!, results.length - failed.length);
    context.output.result(
      { group: name, removed: members },
      () => `Took ${countOf(members.length, 'member')} out of ${name}.`,
    );
  });
}

function identities(instances: readonly string[], ids: readonly string[]): MemberIdentity[] {
  return [
    ...instances.map((groupInstanceId) => ({ groupInstanceId })),
    ...ids.map((memberId) => ({ memberId })),
  ];
}

async function everyMember(admin: Admin, name: string): Promise<MemberIdentity[]> {
  const [group] = await admin.describeGroups([name]);
  return group!.members.map(({ memberId, groupInstanceId }) =>
    groupInstanceId === null ? { memberId } : { groupInstanceId },
  );
}
