/** Whole nodes whose greetings are those of an earlier and of a later release, in one cluster with one of this release. */
import { expect, it, vi } from 'vitest';
import { decodeHello } from '../../broker/peers/peer-handshake.ts';
import { MemoryDisk } from '../../platform/memory-disk.ts';
import { RealNetwork } from '../../platform/real/real-network.ts';
import { realPlatform } from '../../platform/real/real-platform.ts';
import { ErrorCode, Reader } from '../../protocol/index.ts';
import { GreetingNetwork } from '../support/greeting-network.ts';
import type { GreetingChanges } from '../support/greeting-network.ts';
import { EmbeddedCluster } from './embedded-cluster.ts';
import { produceOf, produceVersion } from './embedded.ts';

const added = Buffer.from('what a later release has to say', 'utf8');

/** It speaks one version more, and its greetings have more at their ends. */
const later: GreetingChanges = {
  hello(body) {
    const changed = Buffer.concat([body, added]);
    changed.writeInt16BE(2, 2);
    return changed;
  },
  answer: (body) => Buffer.concat([body, added]),
};

/** Its greetings end before where a node listens, and before leases. */
const first: GreetingChanges = {
  hello(body) {
    const reader = new Reader(body);
    reader.position = 2 + 2 + 1 + 4;
    skipIdentity(reader);
    const shorter = body.subarray(0, reader.position);
    const { listens, ...rest } = decodeHello(body);
    expect(listens).toBeDefined();
    expect(decodeHello(shorter)).toEqual(rest);
    return shorter;
  },
  answer: (body) => body.subarray(0, -1),
};

function skipIdentity(reader: Reader): void {
  reader.int32();
  reader.int64();
  reader.string();
  reader.string();
  reader.int64();
}

it('nodes of three releases are one cluster', async () => {
  const networks = new Map([
    [2, new GreetingNetwork(new RealNetwork(), later)],
    [3, new GreetingNetwork(new RealNetwork(), first)],
  ]);
  const settings = { 'min.insync.replicas': '3' };
  await using cluster = await EmbeddedCluster.start({ settings }, new Map(), (id) => {
    const network = networks.get(id);
    return network === undefined ? {} : { platform: { ...realPlatform(), disk: new MemoryDisk(), network } };
  });
  const connection = await cluster.connect(1);
  // Each leads one, and all have to acknowledge: every two of them talk in both directions.
  const assignments = [
    [1, 2, 3],
    [2, 3, 1],
    [3, 1, 2],
  ].map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds }));
  const made = await connection.call('CreateTopics', 7, {
    topics: [{ name: 't', numPartitions: -1, replicationFactor: -1, assignments, configs: [] }],
    timeoutMs: 10_000,
  });
  expect(made.topics[0]).toMatchObject({ errorCode: ErrorCode.NONE });
  for (const id of [1, 2, 3]) {
    await vi.waitFor(
      async () => {
        const own = await cluster.connect(id);
        const request = produceOf('t', ['a'], { partition: id - 1 });
        const answer = await own.call('Produce', produceVersion, request);
        expect(answer.responses[0]!.partitionResponses[0]!.errorCode).toBe(ErrorCode.NONE);
      },
      { timeout: 15_000, interval: 100 },
    );
  }
  for (const { counts } of networks.values()) {
    expect(counts.hellos).toBeGreaterThan(1);
    expect(counts.answers).toBeGreaterThan(1);
  }
  const refusals = [1, 2, 3]
    .flatMap((id) => cluster.node(id).log.lines)
    .filter((line) => /refused|greeting/.test(line));
  expect(refusals).toEqual([]);
}, 60_000);
