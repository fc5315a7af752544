import { expect, it, vi } from 'vitest';
import { freePort } from '../support/free-port.ts';
import { authority, nodeIdentity, strangerIdentity } from '../support/certificates.ts';
import { ErrorCode } from '../../protocol/index.ts';
import { StartError } from '../../broker/start-error.ts';
import { embed, KeptLog, produceOf, produceVersion } from './embedded.ts';
import { EmbeddedCluster } from './embedded-cluster.ts';

const internalTls = { ...nodeIdentity, ca: authority };

it('nodes that talk to each other with TLS form a cluster and replicate, and others are kept out', async () => {
  await using cluster = await EmbeddedCluster.start({ internalTls });
  const connection = await cluster.connect(1);
  const made = await connection.call('CreateTopics', 7, {
    topics: [
      {
        name: 'secret',
        numPartitions: 1,
        replicationFactor: 3,
        assignments: [],
        configs: [{ name: 'min.insync.replicas', value: '3' }],
      },
    ],
    timeoutMs: 10_000,
  });
  expect(made.topics[0]).toMatchObject({ errorCode: ErrorCode.NONE });
  await vi.waitFor(
    async () => {
      const outcomes: number[] = [];
      for (const node of cluster.running) {
        const each = await cluster.connect(node);
        const { responses } = await each.call('Produce', produceVersion, produceOf('secret', ['a', 'b']));
        outcomes.push(responses[0]!.partitionResponses[0]!.errorCode);
      }
      expect(outcomes).toContain(ErrorCode.NONE);
    },
    { timeout: 10_000, interval: 100 },
  );
  // Both get no further than the connection; without an end they would go on asking.
  for (const tls of [undefined, { ...strangerIdentity, ca: authority }]) {
    const asking = new AbortController();
    const logger = new KeptLog();
    const told = (): string => logger.lines.join('\n');
    const joining = embed({
      nodeId: 9,
      internalPort: await freePort(),
      join: cluster.internalAddress(1),
      signal: asking.signal,
      logger,
      ...(tls === undefined ? {} : { internalTls: tls }),
    });
    await vi.waitFor(() => expect(told()).toContain('cannot be joined yet'), { timeout: 10_000 });
    asking.abort();
    await expect(joining).rejects.toBeInstanceOf(StartError);
    if (tls === undefined) expect(told()).toContain('either all with TLS');
  }
});
