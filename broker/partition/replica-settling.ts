/** Waiting for what replicas do by themselves after they were opened. */
import type { Clock } from '../../platform/clock.ts';
import type { Replica } from './replica.ts';

/** Others have their turn. */
export function pause(clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    clock.after(0, resolve);
  });
}

/** Resolves when the replica may say where its log ends, or will not by itself; with an error where it could not be elected. */
export function settled(replica: Replica): Promise<unknown> {
  return new Promise((resolve) => {
    const look = (): void => {
      const isAlone = replica.isSoleVoter && !replica.damaged && !replica.memory.isLost;
      if (replica.electionError !== undefined) resolve(replica.electionError);
      else if (!isAlone || replica.ready || replica.failed || replica.closed) resolve(undefined);
      else replica.watch(look);
    };
    look();
  });
}
