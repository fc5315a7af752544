/**
 * A member of a group as lean as the protocol allows, for measuring coordinators: it reads nothing, has a connection of its own, as
 * brokers serve one request of a connection at a time, and takes up at once what it is given.
 */
import { Connection } from '../../client/cluster/connection.ts';
import type { ApiName, RequestOf, ResponseOf } from '../../client/cluster/apis.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Address, Network } from '../../platform/network.ts';

/** The topic that all groups of the bench share out. */
export const sharedTopic = 'bench-groups';
export const sharedPartitions = 100;

/** Long enough for a JoinGroup of 500 members. */
const timeoutMs = 120_000;

export interface BenchMember {
  /** What it has been given, and in which generation or epoch; undefined before the first time. */
  readonly given: { readonly round: number; readonly partitions: readonly number[] } | undefined;
  /** Joins, and takes part until it leaves; rejects where something goes wrong that should not. */
  run(): Promise<void>;
  leave(): Promise<void>;
  /** Time that each heartbeat took (ms), since it was last emptied. */
  readonly heartbeatsMs: number[];
}

export interface MemberOptions {
  readonly link: MemberLink;
  readonly groupId: string;
  /** Told of every change of `given`. */
  readonly onChanged: () => void;
}

/** A connection, and the time. */
export class MemberLink {
  readonly clock: Clock;
  readonly #connection: Connection;

  private constructor(clock: Clock, connection: Connection) {
    this.clock = clock;
    this.#connection = connection;
  }

  static async open(
    { clock, network }: { clock: Clock; network: Network },
    address: Address,
  ): Promise<MemberLink> {
    const stream = await network.connect(address, { timeoutMs: 10_000 });
    const peer = `${address.host}:${address.port}`;
    return new MemberLink(clock, new Connection(stream, { clock, clientId: 'bench', peer }));
  }

  ask<A extends ApiName>(api: A, version: number, body: RequestOf<A>): Promise<ResponseOf<A>> {
    return this.#connection.send(api, version, body, { timeoutMs });
  }

  close(): void {
    this.#connection.close(new Closed());
  }
}

/** The bench has closed the connection itself. */
export class Closed extends Error {
  readonly code = 'CLOSED';
  readonly retriable = false;
  readonly brokerMessage = undefined;
}

/** A pause that a member can be woken from. */
export class Nap {
  #wake: (() => void) | undefined;

  sleep(clock: Clock, forMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = clock.after(forMs, resolve);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  wake(): void {
    this.#wake?.();
  }
}
