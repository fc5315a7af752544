/** The clients that members are made of, and how each comes onto the machine: into the user's cache, never into the tree. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ChildProcesses } from '../../support/child-processes.ts';
import { cached, installPlatformaticKafka } from '../../support/foreign-packages.ts';
import { installKcat } from '../kcat.ts';
import { installJava, installVerifiable } from './java-clients.ts';
import { kcatClient } from './kcat-member.ts';
import type { MemberClient } from './member-process.ts';

const members = join(import.meta.dirname, 'members');
const confluentVersion = '2.16.1';

export const ownClient: MemberClient = {
  name: 'own',
  command: (config) => [process.execPath, [join(members, 'own-member.ts'), JSON.stringify(config)]],
};

export const kafkajsClient: MemberClient = {
  name: 'kafkajs',
  command: (config) => [process.execPath, [join(members, 'kafkajs-member.ts'), JSON.stringify(config)]],
};

/** What the machine has, and why it has not what is missing. */
export interface InstalledClients {
  readonly byName: ReadonlyMap<string, MemberClient>;
  readonly missing: ReadonlyMap<string, string>;
}

const installers: Readonly<Record<string, (children: ChildProcesses) => Promise<MemberClient>>> = {
  kcat: async (children) => {
    await installKcat(children);
    return kcatClient;
  },
  confluent: installConfluent,
  'franz-go': installFranzGo,
  platformatic: installPlatformatic,
  java: installJava,
  verifiable: installVerifiable,
};

/** Those of `names` that can be had. */
export async function installClients(
  children: ChildProcesses,
  names: readonly string[],
): Promise<InstalledClients> {
  const byName = new Map([ownClient, kafkajsClient].map((client) => [client.name, client]));
  const missing = new Map<string, string>();
  for (const name of names) {
    const install = installers[name];
    if (install === undefined) continue;
    try {
      byName.set(name, await install(children));
    } catch (error) {
      missing.set(name, error instanceof Error ? error.message : String(error));
    }
  }
  return { byName, missing };
}

const installMs = 300_000;

async function installConfluent(children: ChildProcesses): Promise<MemberClient> {
  const directory = await cached(`confluent-kafka-${confluentVersion}`, async (target) => {
    const pip = [
      '-m',
      'pip',
      'install',
      '--quiet',
      '--disable-pip-version-check',
      '--root-user-action=ignore',
    ];
    const only = ['--only-binary=:all:', '--no-deps', '--target', target];
    await children.mustRun('python3', [...pip, ...only, `confluent-kafka==${confluentVersion}`], {
      timeoutMs: installMs,
    });
  });
  const script = join(members, 'confluent_member.py');
  return {
    name: 'confluent',
    command: (config) => ['python3', [script, directory, JSON.stringify(config)]],
  };
}

async function installFranzGo(children: ChildProcesses): Promise<MemberClient> {
  const source = join(members, 'franz-go');
  const hash = createHash('sha256');
  for (const file of ['go.mod', 'go.sum', 'main.go']) hash.update(readFileSync(join(source, file)));
  const directory = await cached(`franz-go-member-${hash.digest('hex').slice(0, 16)}`, async (target) => {
    const options = { cwd: source, timeoutMs: installMs };
    await children.mustRun('go', ['build', '-o', join(target, 'member'), '.'], options);
  });
  return {
    name: 'franz-go',
    command: (config) => [join(directory, 'member'), [JSON.stringify(config)]],
  };
}

async function installPlatformatic(children: ChildProcesses): Promise<MemberClient> {
  const directory = await installPlatformaticKafka(children);
  const script = join(members, 'platformatic-member.ts');
  return {
    name: 'platformatic',
    // So it is with Apache Kafka as well. Its cooperative-sticky takes shares of 4, 2 and 2 for balanced.
    readsOn: true,
    isUneven: true,
    command: (config) => [process.execPath, [script, directory, JSON.stringify(config)]],
  };
}
