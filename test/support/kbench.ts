/** Builds bench/kbench (Go, franz-go) into the user's cache, once for each state of its sources, and runs it. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { cacheDirectory } from './apache-kafka-jars.ts';
import type { ChildProcesses } from './child-processes.ts';

const sourceDirectory = resolve(import.meta.dirname, '../../bench/kbench');

/** What kbench prints; which fields are there depends on its mode. */
export interface KbenchResult {
  readonly n?: number;
  readonly seconds?: number;
  readonly records_s?: number;
  readonly mb_s?: number;
  readonly failed?: number;
  readonly first_error?: string;
  readonly ack_ms?: Quantiles;
  readonly e2e_ms?: Quantiles;
  readonly from_start?: number;
  readonly from_time?: number;
  readonly group?: number;
}

export interface Quantiles {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export class Kbench {
  readonly #children: ChildProcesses;
  readonly #binary: string;

  private constructor(children: ChildProcesses, binary: string) {
    this.#children = children;
    this.#binary = binary;
  }

  /** Rejects where go is missing or the build fails. */
  static async build(children: ChildProcesses): Promise<Kbench> {
    const hash = createHash('sha256');
    for (const name of readdirSync(sourceDirectory).sort())
      hash.update(readFileSync(join(sourceDirectory, name)));
    const directory = join(cacheDirectory(), 'kbench');
    const binary = join(directory, hash.digest('hex').slice(0, 16));
    if (!existsSync(binary)) {
      mkdirSync(directory, { recursive: true });
      const options = { cwd: sourceDirectory, timeoutMs: 600_000 };
      await children.mustRun('go', ['build', '-o', binary, '.'], options);
    }
    return new Kbench(children, binary);
  }

  /** Runs it once; flags without their dash. Rejects when it fails. */
  async run(flags: Readonly<Record<string, string | number>>, timeoutMs = 300_000): Promise<KbenchResult> {
    const args = Object.entries(flags).map(([name, value]) => `-${name}=${value}`);
    const finished = await this.#children.mustRun(this.#binary, args, { timeoutMs });
    const result: KbenchResult = JSON.parse(finished.stdout);
    return result;
  }
}
