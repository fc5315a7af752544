/**
 * The side of a copy that lacks the log: brings the files of a manifest into `catch-up/` beside the log, piece by piece, and makes a
 * log of them. What is there of the same manifest is kept, so that after a lost connection or a crash it goes on at the byte where
 * it stopped; of any other manifest it begins anew. Nothing of the present log is touched.
 */
import type { Clock } from '../../../../platform/clock.ts';
import { DiskError } from '../../../../platform/disk.ts';
import type { Disk, DiskFile } from '../../../../platform/disk.ts';
import { readWholeFile, replaceFile } from '../../../../platform/whole-files.ts';
import { crc32c } from '../../../../protocol/index.ts';
import type { CommitLog } from '../../../log/commit-log.ts';
import { stagingDirectory } from '../../../log/log-replacement.ts';
import { decodeReplicaState } from '../../../log/recovery/replica-state-file.ts';
import { PeerError } from '../../../peers/peer-requests.ts';
import type { PeerRequests } from '../../../peers/peer-requests.ts';
import type { CopyPace } from './copy-pace.ts';
import {
  MalformedCopy,
  copyKind,
  decodeManifest,
  decodePiece,
  decodeStatus,
  encodeManifest,
  encodeQuestion,
  pieceBytesMax,
} from './copy-protocol.ts';
import type { CopyManifest, CopyQuestion } from './copy-protocol.ts';
import { finishStaging, manifestName } from './staged-log.ts';
import type { StagedLog } from './staged-log.ts';

export interface CopyOrder {
  readonly group: string;
  /** The node to copy from. */
  readonly from: number;
  /** The copy has to reach so far, or further. */
  readonly endIndex: number;
  readonly log: CommitLog;
  /** Asked between pieces. */
  readonly isWanted: () => boolean;
}

export interface SegmentCopyOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly requests: PeerRequests;
  readonly pace: CopyPace;
  /** Whether the one who sends holds pieces back. */
  readonly isHeldBack: () => boolean;
  /** Manifests all of whose bytes so far this process has written itself, and has met no failed sync of. */
  readonly written: Set<string>;
}

/** Why nothing came of a copy; what was copied stays, but where it was of no use. */
export class CopyFailed extends Error {
  constructor(reason: string, options?: { readonly cause?: unknown }) {
    super(`The log could not be copied: ${reason}.`, options);
    this.name = 'CopyFailed';
  }
}

const answerMsMax = 30_000;
/** A question that got no answer is asked again so often, each time after twice as long. */
const attemptsMax = 6;
const retryMs = 100;
const magic = Buffer.from('KLCOPYM1', 'latin1');
/** magic, CRC-32C of the rest */
const prefixBytes = 12;

/** One run; rejects with a CopyFailed, a MalformedCopy, a PeerError or a DiskError. */
export class SegmentCopy {
  readonly #options: SegmentCopyOptions;
  readonly #order: CopyOrder;
  readonly #staging: string;

  constructor(options: SegmentCopyOptions, order: CopyOrder) {
    this.#options = options;
    this.#order = order;
    this.#staging = stagingDirectory(order.log.directory);
  }

  async run(): Promise<StagedLog> {
    const staged = await this.#stagedManifest();
    const manifest = await this.#begin(staged?.id);
    const state = decodeReplicaState(manifest.state);
    const { endIndex, configuration } = manifest;
    if (state === undefined || endIndex < this.#order.endIndex || configuration.index >= endIndex)
      throw new MalformedCopy('a manifest that contradicts itself');
    const isSame = staged !== undefined && encodeManifest(staged).equals(encodeManifest(manifest));
    const { disk, written } = this.#options;
    if (!isSame) await this.#beginAnew(manifest);
    try {
      const isForeign = isSame && !written.has(manifest.id);
      for (const place of manifest.files.keys()) await this.#copyFile(manifest, place, isForeign);
      written.add(manifest.id);
    } catch (error) {
      // What a failed sync has left in memory is not on the disk, and must not be taken for it later.
      if (error instanceof DiskError) await this.#discard();
      throw error;
    }
    const { log } = this.#order;
    const finished = await finishStaging(disk, log, { ...manifest, state });
    written.delete(manifest.id);
    if (typeof finished !== 'string') {
      await this.#ask({ operation: 'end', manifest: manifest.id }).catch(() => undefined);
      return finished;
    }
    await this.#discard();
    throw new CopyFailed(`what came is not the log that was announced (${finished})`);
  }

  async #begin(previous: string | undefined): Promise<CopyManifest> {
    const { group, endIndex } = this.#order;
    const { status, rest } = await this.#ask({ operation: 'begin', group, endIndex, previous });
    if (status === 'behind') throw new CopyFailed('the other node does not hold so much of it yet');
    if (status === 'absent') throw new CopyFailed('the other node does not have it');
    return decodeManifest(rest);
  }

  async #beginAnew(manifest: CopyManifest): Promise<void> {
    const { disk } = this.#options;
    await this.#discard();
    await disk.makeDirectory(this.#staging);
    const content = encodeManifest(manifest);
    const prefix = Buffer.alloc(prefixBytes);
    magic.copy(prefix);
    prefix.writeUInt32BE(crc32c(content), magic.length);
    await replaceFile(disk, this.#staging, manifestName, Buffer.concat([prefix, content]));
    this.#options.written.add(manifest.id);
  }

  /** Whole and synced when it resolves. `isForeign`: some of it may be there from an earlier process. */
  async #copyFile(manifest: CopyManifest, place: number, isForeign: boolean): Promise<void> {
    const { disk } = this.#options;
    const { name, sizeBytes } = manifest.files[place]!;
    const file = await disk.open(`${this.#staging}/${name}`, 'create');
    try {
      let position = await file.size();
      if (position > sizeBytes) {
        await file.truncate(sizeBytes);
        position = sizeBytes;
      }
      if (isForeign && position > 0) await writeAnew(file, position);
      while (position < sizeBytes) position += await this.#copyPiece(file, { manifest, place, position });
      await file.sync();
    } finally {
      await file.close();
    }
  }

  /** Resolves with the bytes that were added. */
  async #copyPiece(
    file: DiskFile,
    { manifest, place, position }: { manifest: CopyManifest; place: number; position: number },
  ): Promise<number> {
    const { clock, pace, isHeldBack } = this.#options;
    const beganMs = clock.monotonicMs();
    const sizeBytes = Math.min(pieceBytesMax, manifest.files[place]!.sizeBytes - position);
    const question = { operation: 'read', manifest: manifest.id, file: place, position, sizeBytes } as const;
    const bytes = await this.#piece(question);
    await file.write([bytes], position);
    await pace.charge(bytes.length, clock.monotonicMs() - beganMs, isHeldBack());
    return bytes.length;
  }

  /** Bytes that changed on the way are asked for again. */
  async #piece(question: Extract<CopyQuestion, { operation: 'read' }>): Promise<Buffer> {
    for (let left = attemptsMax; left > 0; left--) {
      const { status, rest } = await this.#ask(question);
      if (status !== 'done') throw new CopyFailed('the other node holds it no longer');
      const bytes = decodePiece(rest);
      if (bytes !== undefined && bytes.length > 0 && bytes.length <= question.sizeBytes) return bytes;
    }
    throw new CopyFailed('its bytes do not arrive whole');
  }

  async #ask(question: CopyQuestion): Promise<ReturnType<typeof decodeStatus>> {
    const { requests, pace } = this.#options;
    const options = { timeoutMs: answerMsMax, lane: 'bulk' } as const;
    for (let attempt = 1; ; attempt++) {
      if (!this.#order.isWanted()) throw new CopyFailed('it is not wanted any more');
      try {
        return decodeStatus(
          await requests.request(this.#order.from, copyKind, [encodeQuestion(question)], options),
        );
      } catch (error) {
        if (!isPassing(error) || attempt >= attemptsMax) throw error;
      }
      await pace.wait(retryMs * 2 ** attempt);
    }
  }

  /** Of what an earlier run has left; undefined where that is nothing that could be gone on with. */
  async #stagedManifest(): Promise<CopyManifest | undefined> {
    try {
      const bytes = await readWholeFile(this.#options.disk, `${this.#staging}/${manifestName}`);
      const content = bytes.subarray(prefixBytes);
      const isWhole =
        bytes.length > prefixBytes &&
        bytes.subarray(0, magic.length).equals(magic) &&
        bytes.readUInt32BE(magic.length) === crc32c(content);
      return isWhole ? decodeManifest(content) : undefined;
    } catch (error) {
      if (error instanceof DiskError && error.code === 'not-found') return undefined;
      throw error;
    }
  }

  async #discard(): Promise<void> {
    await this.#options.disk.removeDirectory(this.#staging);
  }
}

/** It may be answered the next time. */
function isPassing(error: unknown): boolean {
  return error instanceof PeerError && (error.code === 'unreachable' || error.code === 'timed-out');
}

/** An earlier process may have met a failed sync: bytes that show need not be on the disk unless they are written again. */
async function writeAnew(file: DiskFile, sizeBytes: number): Promise<void> {
  const chunk = Buffer.allocUnsafeSlow(Math.min(pieceBytesMax, sizeBytes));
  for (let position = 0; position < sizeBytes; position += chunk.length) {
    const read = await file.read(chunk.subarray(0, sizeBytes - position), position);
    await file.write([chunk.subarray(0, read)], position);
  }
}
