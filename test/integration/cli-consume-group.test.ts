/** `kappalog consume --group`, run as it is run: members come and go, and each record is printed once. */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startBroker, type Broker } from '../../broker/index.ts';
import { Kappalog } from '../../client/index.ts';

const command = resolve(import.meta.dirname, '../../bin/kappalog.js');
const partitionCount = 4;

let broker: Broker;
let client: Kappalog;
const members: Member[] = [];

beforeAll(async () => {
  broker = await startBroker({
    port: 0,
    storage: 'memory',
    settings: {
      'group.initial.rebalance.delay.ms': '0',
      'group.consumer.min.heartbeat.interval.ms': '10',
      'group.consumer.heartbeat.interval.ms': '100',
      'group.consumer.min.assignment.interval.ms': '0',
      'group.consumer.assignment.interval.ms': '0',
    },
  });
  client = new Kappalog({ brokers: `127.0.0.1:${broker.port}` });
});
afterAll(async () => {
  for (const { child } of members) child.kill('SIGKILL');
  await client.close();
  await broker.close();
});

class Member {
  readonly child: ChildProcessByStdio<null, Readable, Readable>;
  readonly ended: Promise<number | null>;
  #text = '';
  #errors = '';

  constructor(topic: string, protocol: string) {
    const args = ['consume', topic, '--group', topic, '--group-protocol', protocol];
    const brokers = ['--brokers', `127.0.0.1:${broker.port}`];
    this.child = spawn(process.execPath, [command, ...args, ...brokers], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child.stdout.setEncoding('utf8').on('data', (text: string) => (this.#text += text));
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#errors += text));
    this.ended = new Promise((done) => {
      this.child.on('close', done);
    });
    members.push(this);
  }

  get lines(): string[] {
    expect(this.#errors).not.toMatch(/^error/m);
    return this.#text.split('\n').slice(0, -1);
  }
}

it.each(['classic', 'consumer'])(
  'prints each record once in a group of the %s protocol',
  async (protocol) => {
    const topic = `printed-${protocol}`;
    await using admin = client.admin();
    await admin.createTopics([{ name: topic, partitions: partitionCount }]);
    await using producer = client.producer();
    let written = 0;
    const write = async (): Promise<void> => {
      const rows = Array.from({ length: 40 }, () => ({
        value: String(written),
        partition: written++ % partitionCount,
      }));
      await producer.sendMany(topic, rows);
    };
    const shown = async (printing: readonly Member[]): Promise<void> => {
      await expect
        .poll(() => printing.flatMap(({ lines }) => lines).length, { timeout: 20_000 })
        .toBeGreaterThanOrEqual(written);
      const lines = printing.flatMap((member) => member.lines).sort();
      expect(lines).toEqual(Array.from({ length: written }, (_, row) => String(row)).sort());
    };
    await write();
    const one = new Member(topic, protocol);
    await shown([one]);
    const two = new Member(topic, protocol);
    // Both print: the second one has its part.
    const untilMs = performance.now() + 30_000;
    while (two.lines.length === 0 && performance.now() < untilMs) {
      await write();
      await shown([one, two]);
    }
    expect(two.lines.length).toBeGreaterThan(0);
    one.child.kill('SIGINT');
    await write();
    await one.ended;
    await write();
    await shown([one, two]);
    two.child.kill('SIGINT');
    await two.ended;
    const offsets = (await admin.fetchGroupOffsets(topic)).map(({ offset }) => offset);
    expect(offsets).toEqual(Array.from({ length: partitionCount }, () => written / partitionCount));
  },
  60_000,
);
