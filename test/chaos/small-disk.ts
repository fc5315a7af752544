/**
 * A file system of its own for the data of one node, in an image file, so that it can be full without the machine's being so. Needs
 * root, a loop device and e2fsprogs.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, rmdirSync, statfsSync, truncateSync } from 'node:fs';
import { join } from 'node:path';

/** More than a run writes; the image is sparse. */
const sizeBytes = 16 * 2 ** 30;

export class SmallDisk {
  /** Where it is mounted. */
  readonly directory: string;
  readonly #image: string;
  #isMounted = false;

  constructor(directory: string) {
    this.directory = directory;
    this.#image = `${directory}.image`;
  }

  /** @throws {Error} where there can be none here */
  open(): void {
    mkdirSync(this.directory, { recursive: true });
    closeSync(openSync(this.#image, 'w'));
    truncateSync(this.#image, sizeBytes);
    run('mkfs.ext4', '-q', '-F', this.#image);
    run('mount', '-o', 'loop', this.#image, this.directory);
    this.#isMounted = true;
    // However the harness ends, nothing of it stays on the machine.
    process.on('exit', () => this.close());
    rmdirSync(join(this.directory, 'lost+found'));
  }

  /** Nothing more can be written. */
  fill(): void {
    const { bavail, bsize } = statfsSync(this.directory);
    untilFull('fallocate', '-l', String(bavail * bsize), this.#filler);
    untilFull('dd', 'if=/dev/zero', `of=${this.#filler}-rest`, 'bs=4096');
  }

  empty(): void {
    for (const file of [this.#filler, `${this.#filler}-rest`]) rmSync(file, { force: true });
  }

  close(): void {
    if (!this.#isMounted) return;
    this.#isMounted = false;
    // A process that is being killed may hold files still.
    run('umount', '-l', this.directory);
    rmSync(this.#image, { force: true });
  }

  get #filler(): string {
    return join(this.directory, '.filler');
  }
}

function run(command: string, ...args: string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

/** That no space is left is what it is to come to. */
function untilFull(command: string, ...args: string[]): void {
  try {
    run(command, ...args);
  } catch (error) {
    if (!String(error).includes('No space left')) throw error;
  }
}
