/** Appends to the groups that this process leads: in each, some batches on their way at any time, each waited for until a majority has it. */
import type { Replica } from '../../broker/partition/replica.ts';
import { encodeBatch, readBatchHeader } from '../../protocol/index.ts';
import type { Load, LoadResult } from './messages.ts';

/** Latencies that are told to the bench; of more, evenly chosen ones. */
const sampleMax = 100_000;

export async function runLoad(replicas: readonly Replica[], load: Load): Promise<LoadResult> {
  const template = batchOfSize(load.batchBytes);
  const header = readBatchHeader(template);
  const latenciesMs: number[] = [];
  const beginMs = performance.now() + load.warmUpMs;
  const endMs = beginMs + load.measureMs;
  let lost = 0;
  await Promise.all(
    replicas.flatMap((replica) => Array.from({ length: load.perGroup }, () => producer(replica))),
  );
  latenciesMs.sort((a, b) => a - b);
  const every = Math.max(1, Math.ceil(latenciesMs.length / sampleMax));
  return {
    lost,
    commits: latenciesMs.length,
    latenciesMs: latenciesMs.filter((_, place) => place % every === 0),
  };

  function producer(replica: Replica): Promise<void> {
    return new Promise((resolve, reject) => {
      /** Where the leader is another node now, nothing is appended any more: the result says so. */
      const stop = (): void => {
        lost++;
        resolve();
      };
      const next = (): void => {
        const sentMs = performance.now();
        if (sentMs >= endMs) {
          resolve();
          return;
        }
        // The log keeps what is appended.
        const outcome = replica.append(Buffer.from(template), header);
        if (outcome.kind === 'refused') {
          if (outcome.error === 'NOT_LEADER_OR_FOLLOWER') stop();
          else reject(new Error(`an append was refused: ${outcome.error}`));
          return;
        }
        replica.acknowledgements.whenCommitted(outcome, (isCommitted) => {
          if (!isCommitted) {
            stop();
            return;
          }
          const nowMs = performance.now();
          if (sentMs >= beginMs && nowMs < endMs) latenciesMs.push(nowMs - sentMs);
          queueMicrotask(next);
        });
      };
      next();
    });
  }
}

/** One record, so large that the batch has about so many bytes. */
function batchOfSize(batchBytes: number): Buffer {
  const value = Buffer.alloc(Math.max(1, batchBytes - 72), 0x61);
  return encodeBatch([{ timestamp: 1_704_067_200_000, value }]);
}
