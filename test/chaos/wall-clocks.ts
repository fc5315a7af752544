/**
 * The nodes' wall clocks, each of which can be set as somebody with a wrong idea of the time would: by libfaketime, which Debian
 * has. Clocks that only go forward, by which elections and sessions go, it leaves alone.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const library = `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/faketime/libfaketime.so.1`;

export class WallClocks {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Why there can be none here; undefined where there can. */
  static obstacle(): string | undefined {
    return existsSync(library) ? undefined : `wall clocks cannot be set apart (${library} is not there)`;
  }

  /** What a node's process is started with; its clock is right at first. */
  environmentOf(nodeId: number): Readonly<Record<string, string>> {
    if (WallClocks.obstacle() !== undefined) return {};
    if (!existsSync(this.#fileOf(nodeId))) this.set(nodeId, 0);
    return {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: this.#fileOf(nodeId),
      FAKETIME_CACHE_DURATION: '1',
      FAKETIME_DISABLE_SHM: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    };
  }

  /** From the right time; it holds within a second, and over restarts. */
  set(nodeId: number, aheadSeconds: number): void {
    writeFileSync(this.#fileOf(nodeId), `${aheadSeconds < 0 ? '' : '+'}${aheadSeconds}\n`);
  }

  #fileOf(nodeId: number): string {
    return join(this.#directory, `clock-${nodeId}`);
  }
}
