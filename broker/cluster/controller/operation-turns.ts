/**
 * Decides operations on the node that leads the metadata log, one at a time, each on an image that holds all that this log holds:
 * what earlier leaders wrote, what this one wrote, and what it does not yet know to be committed. So nothing is ever decided
 * on less than what the decision will stand behind.
 */
import type { ControllerState } from './controller.ts';
import { MetadataLogError } from '../metadata/metadata-log.ts';
import type { MetadataLog } from '../metadata/metadata-log.ts';
import { encodeMetadataRecord } from '../metadata/metadata-record.ts';
import { placementWarnings } from './placement-warnings.ts';
import { decide, operations } from './operations.ts';
import type { Asked, Done, OperationName } from './operations.ts';

export interface OperationTurnsOptions {
  readonly log: MetadataLog;
  /** As it is at the time of the call. */
  readonly state: () => ControllerState;
  /** Resolves when something has been applied, or who leads the log may have changed. */
  readonly whenMoved: () => Promise<void>;
  /** Looks at this node's own disks, before replicas are placed. */
  readonly measure: () => Promise<void>;
  /** Something was done that an operator should know of. */
  readonly onWarning: (message: string) => void;
}

export class OperationTurns {
  readonly #options: OperationTurnsOptions;
  /** Ends when the operation before has been applied, or has failed. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: OperationTurnsOptions) {
    this.#options = options;
  }

  /** Resolves when the operation's records are committed and applied here. Rejects with a MetadataLogError. */
  run<Name extends OperationName>(asked: Asked<Name>): Promise<Done<Name>> {
    const operation = this.#turn.then(() => this.#run(asked));
    // The next operation goes ahead whether this one succeeds or not; its error is the caller's.
    this.#turn = operation.then(
      () => undefined,
      () => undefined,
    );
    return operation;
  }

  /** Resolves when all operations that have come so far have ended. */
  async settled(): Promise<void> {
    await this.#turn;
  }

  async #run<Name extends OperationName>(asked: Asked<Name>): Promise<Done<Name>> {
    const { log, state, measure, onWarning } = this.#options;
    const { places = false, warns = false } = operations[asked.name];
    if (places) await measure();
    await this.#whenDecisive();
    const { records, result } = decide(state(), asked);
    if (records.length === 0 || asked.validateOnly) {
      const { endOffset } = state().image;
      // Else a leader that was deposed without knowing would answer by what is no more.
      await log.confirm();
      return { result, endOffset };
    }
    const endOffset = await log.append(records.map((record) => encodeMetadataRecord(record)));
    if (warns) for (const message of placementWarnings(state().image, records)) onWarning(message);
    return { result, endOffset };
  }

  /** Resolves, in the same turn of the event loop, when the image holds all that the leader's log does. */
  async #whenDecisive(): Promise<void> {
    const { log, state, whenMoved } = this.#options;
    while (!log.isReady || state().image.endOffset !== log.endOffset) {
      if (log.failed) {
        const message = 'the metadata log has failed: its disk takes no writes; see the log of this node';
        throw new MetadataLogError('failed', message);
      }
      if (!log.isLeader) {
        throw new MetadataLogError('not-leader', 'this node does not lead the metadata log');
      }
      await whenMoved();
    }
  }
}
