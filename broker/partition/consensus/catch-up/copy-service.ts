/**
 * The side of a copy that has the log: answers questions of the kind `copy` for all logs of a node. Each manifest holds the files
 * of one immutable point of a log open, whatever retention and compaction do meanwhile, until the copy has ended or nobody has
 * asked for any of it for a while. What it gives is committed and durable here, so it need not lead.
 */
import type { Clock, Timer } from '../../../../platform/clock.ts';
import type { PeerService } from '../../../peers/peer-requests.ts';
import type { CommitLog } from '../../../log/commit-log.ts';
import type { LogCopy } from '../../../log/log-copy.ts';
import type { PlacedConfiguration } from '../../../raft/configuration.ts';
import { nodeOf } from '../../../raft/member.ts';
import type { Grant, SendPace } from './send-pace.ts';
import { decodeQuestion, encodeManifest, encodePiece, encodeStatus } from './copy-protocol.ts';
import type { CopyManifest, CopyQuestion } from './copy-protocol.ts';

/** A log of this node that others may copy. */
export interface CopySource {
  readonly log: CommitLog;
  readonly committedEndIndex: number;
  /** The newest below `endIndex`, which is committed; a later one where it is not known any more what held there. */
  configurationAt(endIndex: number): PlacedConfiguration;
}

interface Held {
  readonly group: string;
  readonly manifest: CopyManifest;
  readonly copy: LogCopy;
  lastAskedMs: number;
}

/** How long a piece is held back, at most: who asks does not wait for ever. */
const pacedMsMax = 15_000;
/** A follower that has started anew finds what it had begun to copy for so long. */
const heldMs = 120_000;

export class CopyService {
  readonly #clock: Clock;
  /** Tells manifests apart, those of other nodes and earlier starts too. */
  readonly #incarnation: string;
  /** Undefined: nobody waits. */
  readonly #sending: SendPace | undefined;
  readonly #sources = new Map<string, CopySource>();
  readonly #held = new Map<string, Held>();
  #count = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock, incarnation: string, sending?: SendPace) {
    this.#clock = clock;
    this.#incarnation = incarnation;
    this.#sending = sending;
  }

  /** Manifests that are held now. */
  get heldCount(): number {
    return this.#held.size;
  }

  add(group: string, source: CopySource): void {
    this.#sources.set(group, source);
  }

  remove(group: string): void {
    this.#sources.delete(group);
    for (const held of this.#held.values()) if (held.group === group) this.#release(held);
  }

  /** Throws a MalformedCopy; rejects with a DiskError. */
  readonly serve: PeerService = async ({ from, payload }) => {
    const question = decodeQuestion(payload);
    if (question.operation === 'begin') return this.#begin(question);
    if (question.operation === 'read') return this.#read(question, from);
    const held = this.#held.get(question.manifest);
    if (held !== undefined) this.#release(held);
    return [encodeStatus('done')];
  };

  close(): void {
    for (const held of this.#held.values()) this.#release(held);
    this.#sources.clear();
  }

  async #begin(question: Extract<CopyQuestion, { operation: 'begin' }>): Promise<readonly Buffer[]> {
    const { group, endIndex, previous } = question;
    const held = previous === undefined ? undefined : this.#held.get(previous);
    if (held?.group === group && held.manifest.endIndex >= endIndex) {
      held.lastAskedMs = this.#clock.monotonicMs();
      return [encodeStatus('done'), encodeManifest(held.manifest)];
    }
    const source = this.#sources.get(group);
    if (source === undefined) return [encodeStatus('absent')];
    // What is committed may be durable elsewhere only.
    if (source.log.flushedEndIndex < source.committedEndIndex) await source.log.flushed();
    const reachedIndex = Math.min(source.committedEndIndex, source.log.flushedEndIndex);
    const isFarEnough = reachedIndex >= endIndex && source.configurationAt(reachedIndex).index < reachedIndex;
    const copy = isFarEnough ? await source.log.copyUpTo(reachedIndex) : undefined;
    if (copy === undefined) return [encodeStatus('behind')];
    if (this.#sources.get(group) !== source) {
      copy.release();
      return [encodeStatus('absent')];
    }
    return [encodeStatus('done'), encodeManifest(this.#hold(group, source, copy))];
  }

  #hold(group: string, source: CopySource, copy: LogCopy): CopyManifest {
    const { endIndex, lastTerm, state, files } = copy;
    const manifest = {
      id: `${this.#incarnation}-${++this.#count}`,
      endIndex,
      lastTerm,
      configuration: source.configurationAt(endIndex),
      state,
      files,
    };
    this.#held.set(manifest.id, { group, manifest, copy, lastAskedMs: this.#clock.monotonicMs() });
    this.#schedule();
    return manifest;
  }

  async #read(
    { manifest, file, position, sizeBytes }: Extract<CopyQuestion, { operation: 'read' }>,
    from: number,
  ): Promise<readonly Buffer[]> {
    const held = this.#held.get(manifest);
    if (held === undefined) return [encodeStatus('absent')];
    held.lastAskedMs = this.#clock.monotonicMs();
    const grant = await this.#grant(held, from, sizeBytes);
    if (!this.#held.has(manifest)) {
      grant?.used(0);
      return [encodeStatus('absent')];
    }
    held.lastAskedMs = this.#clock.monotonicMs();
    const bytes = await held.copy.read(file, position, Math.min(sizeBytes, grant?.bytesMax ?? sizeBytes));
    grant?.used(bytes.length);
    return encodePiece(bytes);
  }

  /** Pieces for a node that votes in the group go at once. */
  #grant({ group, manifest }: Held, to: number, bytesMax: number): Promise<Grant | undefined> | undefined {
    const { voters, outgoing } = manifest.configuration.configuration;
    if ([...voters, ...outgoing].some((voter) => nodeOf(voter) === to)) return undefined;
    const untilMs = this.#clock.monotonicMs() + pacedMsMax;
    return this.#sending?.grant({
      kind: 'files',
      group,
      to,
      bytesMax,
      state: () => {
        if (!this.#held.has(manifest.id)) return 'unwanted';
        return this.#clock.monotonicMs() < untilMs ? 'waiting' : 'free';
      },
    });
  }

  #release(held: Held): void {
    if (this.#held.delete(held.manifest.id)) held.copy.release();
    if (this.#held.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #schedule(): void {
    this.#timer ??= this.#clock.after(heldMs / 4, () => {
      this.#timer = undefined;
      const untilMs = this.#clock.monotonicMs() - heldMs;
      for (const held of this.#held.values()) if (held.lastAskedMs <= untilMs) this.#release(held);
      if (this.#held.size > 0) this.#schedule();
    });
  }
}
