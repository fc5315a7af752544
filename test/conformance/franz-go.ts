/** franz-go, by kbench: contents through every codec, then its three measuring modes with few records. */
import { Kbench } from '../support/kbench.ts';
import { type Suite, codecs, equal } from './suite.ts';

export async function franzGoSuite({ checks, children, broker, short }: Suite): Promise<void> {
  if (!checks.wants('franz-go')) return;
  let kbench: Kbench;
  try {
    kbench = await Kbench.build(children);
  } catch (error) {
    checks.skip(
      'franz-go',
      `kbench cannot be built: ${error instanceof Error ? error.message : String(error)}`,
    );
    return;
  }
  const common = { brokers: broker.address, timeout: '60s' };
  for (const compression of codecs) {
    await checks.check(
      `franz-go: ${compression}: contents from the start, from a time, with a group`,
      async () => {
        const topic = `franz-${compression}`;
        const n = short ? 3000 : 30_000;
        const result = await kbench.run({ ...common, mode: 'verify', topic, partitions: 3, n, compression });
        equal(
          [result.from_start, result.from_time, result.group],
          [n, n / 2, n],
          'the counts that were compared',
        );
      },
    );
  }
  for (const acks of ['all', '1', '0'] as const) {
    await checks.check(`franz-go: kbench produce acks=${acks} and consume`, async () => {
      const topic = `franz-speed-${acks}`;
      const n = short ? 50_000 : 300_000;
      const flags = { ...common, topic, n, size: 100 };
      const produced = await kbench.run({ ...flags, mode: 'produce', partitions: 6, acks });
      equal(produced.failed, 0, `the number of failed records (${produced.first_error})`);
      equal((await kbench.run({ ...flags, mode: 'consume' })).n, n, 'the number of records consumed');
    });
  }
  await checks.check('franz-go: kbench e2e', async () => {
    const n = short ? 500 : 3000;
    const result = await kbench.run({ ...common, mode: 'e2e', topic: 'franz-e2e', n, rate: 1000, size: 100 });
    equal(result.n, n, 'the number of records measured');
  });
}
