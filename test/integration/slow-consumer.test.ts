/** A consumer that asks for much and takes little holds one answer in the broker's memory, and keeps nobody else from theirs. */
import { expect, it } from 'vitest';
import { MemoryDisk } from '../../platform/memory-disk.ts';
import { iterateBatches } from '../../protocol/index.ts';
import { createTopic, embed, fetchOf, fetchVersion, produceOf, produceVersion } from './embedded.ts';

const recordBytes = 1_000_000;
const count = 48;

it('holds what it has asked for next, and no more', async () => {
  let coldReads = 0;
  const disk = new MemoryDisk({
    faults: (operation, path) => {
      if (operation === 'read' && path.endsWith('/t-0/00000000000000000000.log')) coldReads++;
      return undefined;
    },
  });
  {
    await using node = await embed({ disk });
    const connection = await node.connect();
    await createTopic(connection, 't');
    await createTopic(connection, 'other');
    await connection.call('Produce', produceVersion, produceOf('other', ['there']));
    for (let at = 0; at < count; at++) {
      const value = String(at).padEnd(recordBytes, 'x');
      const answer = await connection.call('Produce', produceVersion, produceOf('t', [value]));
      expect(answer.responses[0]!.partitionResponses[0]!.errorCode).toBe(0);
    }
  }
  // Another life, which has none of it in memory.
  await using node = await embed({ disk });
  coldReads = 0;
  const slow = await node.connect();
  slow.pause();
  const answers = Array.from({ length: count }, (_, at) =>
    slow.call('Fetch', fetchVersion, fetchOf('t', [{ fetchOffset: at, partitionMaxBytes: 1 }])),
  );
  const other = await node.connect();
  for (let turn = 0; turn < 300; turn++) {
    const { responses } = await other.call('Fetch', fetchVersion, fetchOf('other', [{ fetchOffset: 0 }]));
    expect(responses[0]!.partitions[0]!.records?.length).toBeGreaterThan(0);
  }
  const readWhilePaused = coldReads;
  expect(readWhilePaused).toBeGreaterThan(0);
  // What the sockets hold has left the broker; the rest of the answers has not been read.
  expect(readWhilePaused).toBeLessThan(count / 2);
  slow.resume();
  for (const [at, answer] of answers.entries()) {
    const { records } = (await answer).responses[0]!.partitions[0]!;
    const [batch] = iterateBatches(records!);
    expect(batch?.header.baseOffset).toBe(at);
  }
  expect(coldReads).toBeGreaterThan(readWhilePaused);
});
