/**
 * Has an operation carried out by the controller, wherever that is: here, or by a question to the node that leads the metadata
 * log, which answers only for itself and never passes it on.
 *
 * Where it is certain that nothing was written (the one asked does not lead, or could not be asked) the operation is tried again, with
 * whoever leads then, until its time is up. Where the outcome is unknown only a repeatable one is (`operations.ts`).
 */
import type { Clock } from '../../../platform/clock.ts';
import { PeerError } from '../../peers/peer-requests.ts';
import type { PeerRequests } from '../../peers/peer-requests.ts';
import { MetadataLogError } from '../metadata/metadata-log.ts';
import type { MetadataLog, MetadataLogErrorCode } from '../metadata/metadata-log.ts';
import type { OperationTurns } from './operation-turns.ts';
import { operations } from './operations.ts';
import type { Asked, Done, OperationName } from './operations.ts';
import { fromJson, toJson } from '../peer-json.ts';

export const controllerKind = 'controller';

/** How long an operation is tried, all in all. */
export const operationMsMax = 15_000;
/** Between two attempts, where nothing is heard of another leader. */
const pauseMs = 100;

export interface OperationCallerOptions {
  readonly nodeId: number;
  readonly log: MetadataLog;
  readonly turns: OperationTurns;
  readonly clock: Clock;
  /** Undefined: there are no other nodes. */
  readonly peers: PeerRequests | undefined;
  /** Resolves when who leads the log may have changed, at the latest after this time. */
  readonly whenMoved: (timeoutMs: number) => Promise<void>;
  readonly isClosed: () => boolean;
}

type Answer<Name extends OperationName> =
  | ({ readonly kind: 'done' } & Done<Name>)
  | { readonly kind: 'failed'; readonly code: MetadataLogErrorCode; readonly message: string };

export class OperationCaller {
  readonly #options: OperationCallerOptions;

  constructor(options: OperationCallerOptions) {
    this.#options = options;
  }

  /** `timeoutMs`: Infinity waits for a controller for as long as there is none. Rejects with a MetadataLogError. */
  async call<Name extends OperationName>(
    asked: Asked<Name>,
    timeoutMs = operationMsMax,
  ): Promise<Done<Name>> {
    const { clock, whenMoved, isClosed } = this.#options;
    const deadlineMs = clock.monotonicMs() + timeoutMs;
    const { isRepeatable } = operations[asked.name];
    for (;;) {
      if (isClosed()) throw new MetadataLogError('closed', 'this node stops');
      const leftMs = deadlineMs - clock.monotonicMs();
      if (leftMs <= 0) throw timedOut(timeoutMs);
      try {
        return await this.#attempt(asked, Math.min(leftMs, operationMsMax));
      } catch (error) {
        if (!(error instanceof MetadataLogError)) throw error;
        const isSafe = error.code === 'not-leader' || (isRepeatable && error.code === 'unknown');
        if (!isSafe) throw error;
      }
      await whenMoved(Math.max(0, Math.min(pauseMs, deadlineMs - clock.monotonicMs())));
    }
  }

  /** Answers another node's question; for the service of kind 'controller'. */
  async serve(question: Buffer): Promise<Buffer[]> {
    const asked = fromJson<Asked<OperationName>>(question);
    if (!Object.hasOwn(operations, asked.name)) throw new Error(`unknown operation ${asked.name}`);
    const answer = await this.#options.turns.run(asked).then(
      ({ result, endOffset }): Answer<OperationName> => ({ kind: 'done', result, endOffset }),
      (error: unknown): Answer<OperationName> => {
        if (!(error instanceof MetadataLogError)) throw error;
        // This node's stop, or the failure of its disk, is not the other's.
        const code = error.code === 'not-leader' ? 'not-leader' : 'unknown';
        return { kind: 'failed', code, message: error.message };
      },
    );
    return [toJson(answer)];
  }

  #attempt<Name extends OperationName>(asked: Asked<Name>, timeoutMs: number): Promise<Done<Name>> {
    const { log, turns, nodeId } = this.#options;
    if (log.isLeader || log.failed) return turns.run(asked);
    const { leaderNode } = log;
    if (leaderNode === undefined || leaderNode === nodeId) {
      return Promise.reject(new MetadataLogError('not-leader', 'the metadata log has no leader'));
    }
    return this.#ask(leaderNode, asked, timeoutMs);
  }

  async #ask<Name extends OperationName>(
    nodeId: number,
    asked: Asked<Name>,
    timeoutMs: number,
  ): Promise<Done<Name>> {
    const { peers } = this.#options;
    if (peers === undefined) throw new MetadataLogError('not-leader', 'other nodes cannot be asked');
    const question = toJson(asked);
    let bytes: Buffer;
    try {
      bytes = await peers.request(nodeId, controllerKind, [question], { timeoutMs });
    } catch (error) {
      throw requestError(nodeId, error);
    }
    const answer = fromJson<Answer<Name>>(bytes);
    if (answer.kind === 'failed') throw new MetadataLogError(answer.code, answer.message);
    return { result: answer.result, endOffset: answer.endOffset };
  }
}

/** Where the question never left, nothing was written; otherwise it may have been carried out. */
function requestError(nodeId: number, error: unknown): unknown {
  if (!(error instanceof PeerError)) return error;
  if (error.code === 'closed') return new MetadataLogError('closed', 'this node stops', { cause: error });
  const message = error.wasSent
    ? `node ${nodeId}, which leads the metadata log, did not answer; whether the change was made is unknown`
    : `node ${nodeId}, which leads the metadata log, cannot be asked`;
  return new MetadataLogError(error.wasSent ? 'unknown' : 'not-leader', message, { cause: error });
}

function timedOut(timeoutMs: number): MetadataLogError {
  return new MetadataLogError(
    'timed-out',
    `no controller could be asked within ${timeoutMs} ms; nothing was changed`,
  );
}
