/** `kappalog group list`. */
import { withClient } from '../client.ts';
import type { ClientOptions, CommandContext } from '../command-context.ts';

export interface ListOptions extends ClientOptions {
  readonly state?: readonly string[];
  readonly type?: readonly string[];
}

/** Lists groups in order of name. */
export async function listGroups(options: ListOptions, context: CommandContext): Promise<void> {
  await withClient(options, async (client) => {
    const filter = { states: options.state ?? [], types: options.type ?? [] };
    const groups = await client.admin().listGroups(filter);
    context.output.list('groups', groups, [
      { title: 'group', cell: (group) => group.groupId },
      { title: 'state', cell: (group) => group.state || null },
      { title: 'type', cell: (group) => group.type || null },
      { title: 'protocol', cell: (group) => group.protocolType || null },
    ]);
  });
}
