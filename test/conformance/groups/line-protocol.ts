/**
 * How the harness and the members of a group talk, whatever client a member is made of.
 *
 * A member is a process with one consumer in it. Its last argument is a MemberConfig as JSON. On standard output it writes one MemberEvent
 * a line, each before what may follow from it: a record before it is committed, an attempt to commit before it is made, what is owned no
 * more before it is given up where the client has a callback for that. `at` is the wall clock in microseconds since 1970. Standard error
 * is kept and shown where something fails.
 *
 * On standard input it takes one MemberCommand a line: `leave` commits what was read, leaves the group, writes `left` and ends with 0;
 * `stop` does the same as a static member that comes back soon, so without leaving. The end of its input ends it at once. A member that
 * is killed needs to do nothing.
 *
 * It subscribes to `topics`, or to `pattern` where that is not null, with `auto.offset.reset=earliest`, and commits by itself, with a
 * commit that is awaited, after each batch of records that its client hands out (the shorter the better). A commit that fails because
 * the group moves on is told with `commit-failed` and is no reason to end.
 */

export interface MemberConfig {
  readonly brokers: string;
  readonly clientId: string;
  readonly groupId: string;
  readonly topics: readonly string[];
  /** In place of the topics; begins with ^. */
  readonly pattern: string | null;
  /** `group.protocol`. */
  readonly protocol: 'classic' | 'consumer';
  /** Kafka's name: range, roundrobin, sticky or cooperative-sticky; with protocol consumer uniform or range. */
  readonly assignor: string;
  /** `group.instance.id`. */
  readonly instanceId: string | null;
  /** Of the classic protocol; in the other the brokers say. */
  readonly sessionTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  readonly rebalanceTimeoutMs: number;
}

/** By topic and partition: the next offset to read. */
export type Offsets = Readonly<Record<string, Readonly<Record<string, number>>>>;

export type MemberEvent =
  /** All that it owns from now on; written at every change, also with nothing when all is given up for a moment. */
  | {
      readonly event: 'owns';
      readonly at: number;
      readonly partitions: Readonly<Record<string, readonly number[]>>;
    }
  | {
      readonly event: 'record';
      readonly at: number;
      readonly topic: string;
      readonly partition: number;
      readonly offset: number;
      readonly value: string;
    }
  /** Before it is sent. */
  | { readonly event: 'commit'; readonly at: number; readonly offsets: Offsets }
  /** After it was acknowledged. */
  | { readonly event: 'committed'; readonly at: number; readonly offsets: Offsets }
  | {
      readonly event: 'commit-failed';
      readonly at: number;
      readonly offsets: Offsets;
      readonly error: string;
    }
  | { readonly event: 'left'; readonly at: number }
  /** It cannot go on; it ends with 1. */
  | { readonly event: 'failed'; readonly at: number; readonly error: string };

export interface MemberCommand {
  readonly command: 'leave' | 'stop';
}

/** What a record holds that stands at this place. */
export function recordValue(topic: string, partition: number, offset: number): string {
  return `${topic}/${partition}/${offset}`;
}
