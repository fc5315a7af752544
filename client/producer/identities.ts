/** The ids under which a producer numbers its batches. One serves all partitions until a partition needs a fresh one. */
import type { Cluster } from '../cluster/cluster.ts';
import { brokerError } from '../errors.ts';
import { ErrorCode } from '../../protocol/index.ts';
import type { Identity } from './producer-batch.ts';

/** Only transactions have a timeout; the field is sent in any case. */
const transactionTimeoutMs = 60_000;

export class Identities {
  readonly #cluster: Cluster;
  #current: Identity | undefined;
  #asking: Promise<Identity> | undefined;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** The identity in use, unless it is `worn`. */
  current(worn: Identity | undefined): Identity | undefined {
    return this.#current === worn ? undefined : this.#current;
  }

  /** Gets one from a broker, in one attempt that all who ask share. */
  ask(): Promise<Identity> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #ask(): Promise<Identity> {
    const body = { transactionalId: null, transactionTimeoutMs };
    const response = await this.#cluster.request('InitProducerId', body, { target: 'any' });
    if (response.errorCode !== ErrorCode.NONE) throw brokerError(response.errorCode, 'get a producer id');
    this.#current = { producerId: response.producerId, producerEpoch: response.producerEpoch };
    return this.#current;
  }
}
