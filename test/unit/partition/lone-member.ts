/**
 * One member of a group of three on a real log, of which the test is everything around it: it says what the others send, when
 * terms and votes are durable, and when the disk is done.
 */
import type { CommitLog } from '../../../broker/log/commit-log.ts';
import { encodeRaftOnly } from '../../../broker/log/raft-only.ts';
import { Consensus } from '../../../broker/partition/consensus/consensus.ts';
import type {
  ConsensusHost,
  ConsensusListener,
} from '../../../broker/partition/consensus/consensus-types.ts';
import { encodeConfiguration } from '../../../broker/raft/configuration-codec.ts';
import type { Configuration, PlacedConfiguration } from '../../../broker/raft/configuration.ts';
import { memberId } from '../../../broker/raft/member.ts';
import type { MemberId } from '../../../broker/raft/member.ts';
import type { Append, Message } from '../../../broker/raft/messages.ts';
import { NodeHeartbeats } from '../../../broker/raft/node-heartbeats.ts';
import type { HardState, RaftSettings } from '../../../broker/raft/raft.ts';
import type { TermStart } from '../../../broker/raft/term-log.ts';
import type { DiskErrorCode } from '../../../platform/disk.ts';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import type { DiskOperation } from '../../../platform/memory-disk.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';
import { batchOf, openLog } from '../log/log-harness.ts';

export const self = memberId(1, 'd1');
export const second = memberId(2, 'd2');
export const third = memberId(3, 'd3');
const members: readonly MemberId[] = [self, second, third];

const settings: RaftSettings = {
  timing: { heartbeatTicks: 2, electionTicks: 10, rankTicks: 4 },
  inflightBytesMax: 100_000,
  inflightMessagesMax: 16,
  messageBytesMax: 10_000,
  chunkBytes: 1000,
  leases: undefined,
};

/** Something that waits until it is let go. */
export class Gate {
  #open: (() => void) | undefined;
  #passing: Promise<void> = Promise.resolve();

  close(): void {
    this.#passing = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  open(): void {
    this.#open?.();
    this.#open = undefined;
  }

  pass(): Promise<void> {
    return this.#passing;
  }
}

/** Entries as a leader sends them, from an index and an offset on. */
export class LeaderEntries {
  readonly #fromIndex: number;
  readonly #previousTerm: number;
  readonly #terms: TermStart[] = [];
  readonly #configurations: PlacedConfiguration[] = [];
  readonly #batches: Buffer[] = [];
  #index: number;
  #offset: number;
  #term: number;

  constructor(from: { readonly index: number; readonly offset: number; readonly previousTerm: number }) {
    this.#fromIndex = from.index;
    this.#index = from.index;
    this.#offset = from.offset;
    this.#previousTerm = from.previousTerm;
    this.#term = from.previousTerm;
  }

  termStart(term: number): this {
    const entry = { kind: 'term-start' as const, term, payload: Buffer.alloc(0) };
    this.#batches.push(encodeRaftOnly({ ...entry, index: this.#index, offset: this.#offset }));
    this.#terms.push({ index: this.#index++, term });
    this.#term = term;
    return this;
  }

  configuration(configuration: Configuration): this {
    const payload = encodeConfiguration(configuration);
    const entry = { kind: 'configuration' as const, term: this.#term, payload };
    this.#batches.push(encodeRaftOnly({ ...entry, index: this.#index, offset: this.#offset }));
    this.#configurations.push({ index: this.#index++, configuration });
    return this;
  }

  data(...values: string[]): this {
    const batch = batchOf({ values });
    batch.writeBigInt64BE(BigInt(this.#offset), 0);
    batch.writeInt32BE(this.#term, 12);
    this.#batches.push(batch);
    this.#index += values.length;
    this.#offset += values.length;
    return this;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#batches);
  }

  message(from: MemberId, term: number, committedEndIndex: number): Append {
    return {
      kind: 'append',
      from,
      to: self,
      term,
      fromIndex: this.#fromIndex,
      endIndex: this.#index,
      previousTerm: this.#previousTerm,
      terms: this.#terms,
      configurations: this.#configurations,
      committedEndIndex,
      sentAt: 0,
      readSequence: 0,
    };
  }
}

export interface LoneMember {
  readonly consensus: Consensus;
  readonly log: CommitLog;
  readonly sent: Message[];
  readonly told: string[];
  /** Votes are durable only while it is open, and so are the operations of the disk that have one. */
  readonly votes: Gate;
  readonly disk: Partial<Record<DiskOperation, Gate>>;
  readonly faults: Partial<Record<DiskOperation, DiskErrorCode>>;
  /** What was asked to be made durable. */
  readonly states: HardState[];
  receive(message: Message, bytes?: Buffer): void;
  settle(): Promise<void>;
}

export async function startLoneMember(): Promise<LoneMember> {
  const votes = new Gate();
  const gates: Partial<Record<DiskOperation, Gate>> = {};
  const faults: Partial<Record<DiskOperation, DiskErrorCode>> = {};
  const disk = new MemoryDisk({
    delay: (operation) => gates[operation]?.pass() ?? Promise.resolve(),
    faults: (operation) => faults[operation],
  });
  const { log } = await openLog({ disk });
  const sent: Message[] = [];
  const told: string[] = [];
  const states: HardState[] = [];
  const host: ConsensusHost = {
    beforeInput: () => undefined,
    send: (_group, message, _bytes, release) => {
      sent.push(message);
      release?.();
    },
    persist: (_group, state) => {
      states.push(state);
      return votes.pass();
    },
    persistFailed: () => undefined,
    ticking: () => undefined,
    dueAt: () => undefined,
    placed: () => undefined,
  };
  const consensus = new Consensus({
    group: 'g',
    member: self,
    settings,
    peers: new NodeHeartbeats({ nodeId: 1, incarnation: 1, timing: settings.timing }),
    random: new SeededRandom(1),
    hardState: { term: 0, votedFor: undefined },
    log,
    configuration: {
      index: 0,
      configuration: { voters: members, outgoing: [], learners: [], revision: 0 },
    },
    impairment: undefined,
    host,
    listener: listenerTo(told),
  });
  consensus.start();
  return {
    consensus,
    log,
    sent,
    told,
    votes,
    disk: gates,
    faults,
    states,
    receive: (message, bytes) => consensus.step(message, bytes),
    settle: async () => {
      for (let turn = 0; turn < 5; turn++) {
        await new Promise((resolve) => {
          setImmediate(resolve);
        });
      }
    },
  };
}

function listenerTo(told: string[]): ConsensusListener {
  return {
    roleChanged: (role, term) => told.push(`${role} in term ${term}`),
    committed: () => undefined,
    stored: () => undefined,
    batchReceived: () => undefined,
    raftOnlyAppended: () => undefined,
    truncated: () => Promise.resolve(),
    configurationChanged: () => undefined,
    configurationCommitted: () => undefined,
    transferEnded: () => undefined,
    readConfirmed: () => undefined,
    dataLost: () => undefined,
    repaired: () => undefined,
    catchUpRefused: () => undefined,
    readFailed: () => undefined,
    failed: ({ kind }) => told.push(`failed: ${kind}`),
  };
}

/** What a candidate of `term` asks, with a log that nobody can find wanting. */
export function voteRequest(from: MemberId, term: number): Message {
  return { kind: 'vote', from, to: self, term, lastIndex: 1000, lastTerm: term - 1, isTransfer: true };
}

export function voteAnswer(from: MemberId, term: number): Message {
  return { kind: 'vote-answer', from, to: self, term, isGranted: true };
}

/** Its leader hands over to it. */
export function timeoutNow(from: MemberId, term: number): Message {
  return { kind: 'timeout-now', from, to: self, term };
}
