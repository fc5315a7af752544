/**
 * Three members of a group, with each assignor of both protocols: they join, crash, leave, come back as static members, are
 * restarted one after another, and subscribe by a pattern. Partitions are assigned exactly, and every record is read once.
 */
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBroker, type Broker } from '../../broker/index.ts';
import { Kappalog, type Admin, type Consumer, type ConsumerOptions } from '../../client/index.ts';
import { realPlatform } from '../../platform/real/real-platform.ts';
import { CuttingNetwork } from '../support/cutting-network.ts';

const partitionCount = 6;
/** Where members crash: short, so that it is noticed soon. */
const shortSessionMs = 2_500;
const heartbeatIntervalMs = 50;

let broker: Broker;
let brokers: string;
let client: Kappalog;
let admin: Admin;
/** They take a while to close, as they cannot say farewell: at the end, all at once. */
const crashed: Member[] = [];

beforeAll(async () => {
  broker = await startBroker({
    port: 0,
    storage: 'memory',
    settings: {
      'group.initial.rebalance.delay.ms': '0',
      'group.min.session.timeout.ms': '100',
      'group.consumer.min.session.timeout.ms': '100',
      'group.consumer.min.heartbeat.interval.ms': '10',
      'group.consumer.heartbeat.interval.ms': String(heartbeatIntervalMs),
      'group.consumer.min.assignment.interval.ms': '0',
      'group.consumer.assignment.interval.ms': '0',
    },
  });
  brokers = `127.0.0.1:${broker.port}`;
  client = new Kappalog({ brokers });
  admin = client.admin();
});
afterAll(async () => {
  await Promise.all(crashed.map((member) => member.close()));
  await client.close();
  await broker.close();
});

/** `expect.poll`, for tests that run at the same time. */
async function becomes<Value>(read: () => Value | Promise<Value>, wanted: Value): Promise<void> {
  const { clock } = realPlatform();
  const untilMs = clock.monotonicMs() + 10_000;
  let value = await read();
  while (!isDeepStrictEqual(value, wanted) && clock.monotonicMs() < untilMs) {
    await new Promise<void>((resolve) => void clock.after(10, resolve));
    value = await read();
  }
  expect(value).toEqual(wanted);
}

/** A process with one member, which can end without a word. */
class Member {
  readonly #network = new CuttingNetwork(realPlatform().network);
  readonly #client: Kappalog;
  readonly #reading: Promise<void>;
  readonly consumer: Consumer;
  isCrashed = false;

  constructor(options: ConsumerOptions, onRecord: (partition: number, offset: number) => void) {
    this.#client = new Kappalog({
      brokers,
      platform: { ...realPlatform(), network: this.#network },
      metadataMaxAgeMs: 200,
    });
    this.consumer = this.#client.consumer(options);
    this.#reading = this.#read(onRecord);
  }

  get partitions(): string[] {
    return this.isCrashed
      ? []
      : this.consumer.assignment().map(({ topic, partition }) => `${topic}-${partition}`);
  }

  /** Its sockets are cut, and it never comes back. */
  crash(): void {
    this.isCrashed = true;
    crashed.push(this);
    this.#network.isDown = true;
    this.#network.cutAll();
  }

  async close(): Promise<void> {
    await this.#client.close();
    await this.#reading;
  }

  async #read(onRecord: (partition: number, offset: number) => void): Promise<void> {
    for await (const { partition, offset } of this.consumer) {
      if (this.isCrashed) return;
      onRecord(partition, offset);
    }
  }
}

/** A group that reads a topic of its own, and the records in it. */
class Scene {
  readonly topic: string;
  readonly #options: ConsumerOptions;
  readonly seen: string[] = [];
  readonly members: Member[] = [];
  written = 0;

  constructor(name: string, options: ConsumerOptions) {
    this.topic = name;
    this.#options = { groupId: name, autoCommitIntervalMs: 20, ...options };
  }

  static async make(name: string, options: ConsumerOptions): Promise<Scene> {
    const scene = new Scene(name, { topics: [name], ...options });
    await admin.createTopics([{ name, partitions: partitionCount }]);
    return scene;
  }

  start(options: ConsumerOptions = {}): Member {
    const member = new Member({ ...this.#options, ...options }, (partition, offset) => {
      this.seen.push(`${partition}:${offset}`);
    });
    this.members.push(member);
    return member;
  }

  async write(count = 60): Promise<void> {
    await using producer = client.producer();
    const rows = Array.from({ length: count }, (_, index) => this.written + index);
    await producer.sendMany(
      this.topic,
      rows.map((row) => ({ value: String(row), partition: row % partitionCount })),
    );
    this.written += count;
  }

  /** All partitions have one reader each, the members as many as is fair. */
  async assignedTo(...members: readonly Member[]): Promise<void> {
    const all = Array.from({ length: partitionCount }, (_, index) => `${this.topic}-${index}`);
    const fair = members.map(() => partitionCount / members.length);
    const shares = (): { partitions: string[]; counts: number[] } => ({
      partitions: members.flatMap((member) => member.partitions).sort(),
      counts: members.map((member) => member.partitions.length),
    });
    await becomes(shares, { partitions: all, counts: fair });
  }

  /** Every record that was written was read once, and its offset is committed. */
  async readOnce(): Promise<void> {
    const perPartition = this.written / partitionCount;
    await becomes(() => this.seen.length >= this.written, true);
    expect(new Set(this.seen).size).toBe(this.written);
    expect(this.seen.length).toBe(this.written);
    const committed = async (): Promise<number[]> =>
      (await admin.fetchGroupOffsets(this.topic)).map(({ offset }) => offset);
    await becomes(
      committed,
      Array.from({ length: partitionCount }, () => perPartition),
    );
  }

  async close(): Promise<void> {
    await Promise.all(this.members.filter(({ isCrashed }) => !isCrashed).map((member) => member.close()));
  }
}

const classic = { heartbeatIntervalMs };
const modes: [string, ConsumerOptions][] = [
  ['range', { ...classic, assignors: ['range'] }],
  ['roundrobin', { ...classic, assignors: ['roundrobin'] }],
  ['sticky', { ...classic, assignors: ['sticky'] }],
  ['cooperative-sticky', { ...classic, assignors: ['cooperative-sticky'] }],
  ['consumer, uniform', { groupProtocol: 'consumer', groupRemoteAssignor: 'uniform' }],
  ['consumer, range', { groupProtocol: 'consumer', groupRemoteAssignor: 'range' }],
];

describe.concurrent.each(modes)('three members with %s', (mode, options) => {
  const name = mode.replace(/\W+/g, '-');

  it('join one after another and leave', async () => {
    const scene = await Scene.make(`${name}.joins`, options);
    await scene.write();
    const one = scene.start();
    await scene.assignedTo(one);
    await scene.write();
    const two = scene.start();
    await scene.assignedTo(one, two);
    await scene.write();
    const three = scene.start();
    await scene.write();
    await scene.assignedTo(one, two, three);
    await scene.readOnce();
    await scene.write();
    await two.close();
    await scene.assignedTo(one, three);
    await scene.write();
    await one.close();
    await scene.assignedTo(three);
    await scene.readOnce();
    await scene.close();
  });

  it('go on without one that crashes', async () => {
    const session = options.groupProtocol === 'consumer' ? {} : { sessionTimeoutMs: shortSessionMs };
    const scene = await Scene.make(`${name}.crash`, { ...options, ...session });
    const set = { 'consumer.session.timeout.ms': String(shortSessionMs) };
    await admin.alterConfigs([{ type: 'group', name: scene.topic, set }]);
    const [one, two, three] = [scene.start(), scene.start(), scene.start()];
    await scene.assignedTo(one, two, three);
    await scene.write();
    await scene.readOnce();
    two.crash();
    await scene.write();
    await scene.assignedTo(one, three);
    await scene.write();
    await scene.readOnce();
    const four = scene.start();
    await scene.assignedTo(one, three, four);
    await scene.write();
    await scene.readOnce();
    await scene.close();
  });

  it('keep their part over a restart as static members', async () => {
    const scene = await Scene.make(`${name}.static`, options);
    const start = (id: string): Member => scene.start({ groupInstanceId: id });
    const [one, two, three] = [start('a'), start('b'), start('c')];
    await scene.assignedTo(one, two, three);
    await scene.write();
    await scene.readOnce();
    const parts = [one, two, three].map((member) => member.partitions.toSorted());
    await two.close();
    await scene.write();
    const again = start('b');
    await scene.assignedTo(one, again, three);
    expect([one, again, three].map((member) => member.partitions.toSorted())).toEqual(parts);
    await scene.readOnce();
    await scene.close();
  });

  it('are restarted one after another while records come', async () => {
    const scene = await Scene.make(`${name}.bounce`, options);
    let members = [scene.start(), scene.start(), scene.start()];
    await scene.assignedTo(...members);
    for (let round = 0; round < 3; round++) {
      await scene.write();
      await members[0]!.close();
      await scene.write();
      members = [...members.slice(1), scene.start()];
      await scene.write();
      await scene.assignedTo(...members);
    }
    await scene.readOnce();
    await scene.close();
  });

  it('subscribe by a pattern, also to a topic that is made later', async () => {
    const early = `${name}.orders-1`;
    await admin.createTopics([{ name: early, partitions: 3 }]);
    const scene = new Scene(`${name}.orders-2`, {
      ...options,
      topicPattern: new RegExp(`${name}\\.ORDERS-\\d`, 'i'),
    });
    const members = [scene.start(), scene.start(), scene.start()];
    const topics = (): string[] =>
      members.flatMap((member) => member.partitions.map((item) => item.slice(name.length))).sort();
    await becomes(topics, ['.orders-1-0', '.orders-1-1', '.orders-1-2']);
    await admin.createTopics([
      { name: scene.topic, partitions: 3 },
      { name: `${name}.orders-22`, partitions: 3 },
    ]);
    await becomes(
      topics,
      [1, 2].flatMap((topic) => [0, 1, 2].map((partition) => `.orders-${topic}-${partition}`)),
    );
    await becomes(() => members.map((member) => member.partitions.length), [2, 2, 2]);
    await scene.close();
  });
});

describe.concurrent.each(modes.filter(([, options]) => options.groupProtocol === undefined))(
  'three members with %s',
  (mode, options) => {
    it('go over to the other protocol and back, one after another, while records come', async () => {
      const scene = await Scene.make(`${mode}.changes`, {});
      let members = [scene.start(options), scene.start(options), scene.start(options)];
      await scene.assignedTo(...members);
      for (const next of [{ groupProtocol: 'consumer' } as const, options]) {
        for (let round = 0; round < 3; round++) {
          await scene.write();
          await members[0]!.close();
          await scene.write();
          members = [...members.slice(1), scene.start(next)];
          await scene.write();
          await scene.assignedTo(...members);
        }
      }
      await scene.readOnce();
      await scene.close();
    });
  },
);
