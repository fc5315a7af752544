/**
 * Where the terms and votes of this node's groups are kept: each in the data directory that holds its log, as what a voter has
 * promised must not outlive its log, nor the other way round.
 */
import type { HardState } from '../raft/raft.ts';
import type { LogDirectory } from './log-directory.ts';
import type { GroupId } from './vote-records.ts';

interface Place {
  readonly group: GroupId;
  readonly home: LogDirectory;
  readonly onFailure: (error: unknown) => void;
}

export class ReplicaVotes {
  readonly #places = new Map<string, Place>();

  place(name: string, place: Place): void {
    this.#places.set(name, place);
  }

  remove(name: string): void {
    this.#places.delete(name);
  }

  /** What is put in one turn shares a sync. Rejects with a DiskError. */
  put(name: string, state: HardState): Promise<void> {
    const place = this.#places.get(name);
    // It has left meanwhile: nobody is told of what it would have promised.
    if (place === undefined) return new Promise(() => {});
    return place.home.votes.put([{ group: place.group, state }]);
  }

  /** What was put could not be made durable. */
  failed(name: string, error: unknown): void {
    const place = this.#places.get(name);
    place?.home.failedBy(error);
    place?.onFailure(error);
  }
}
