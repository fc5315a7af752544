/**
 * The file that keeps a group's newest committed configuration, moved on before the log loses the part in which it stands. One
 * write at a time: retention, deletions and compaction may each ask for it.
 */
import type { Disk } from '../../platform/disk.ts';
import type { PlacedConfiguration } from '../raft/configuration.ts';
import { encodeConfiguration } from '../raft/configuration-codec.ts';
import { writeConfigurationFile } from './consensus/configuration-file.ts';

export class KeptConfiguration {
  readonly #disk: Disk;
  readonly #directory: string;
  #placed: PlacedConfiguration;
  #writing: Promise<void> = Promise.resolve();
  #hasEnded = false;

  /** `placed` is in the file, or is what stands for one where there is none. */
  constructor(disk: Disk, directory: string, placed: PlacedConfiguration) {
    this.#disk = disk;
    this.#directory = directory;
    this.#placed = placed;
  }

  get placed(): PlacedConfiguration {
    return this.#placed;
  }

  /**
   * Resolves when the file has this one, which is the newest, or one that was asked for later. Its index is below the file's where
   * committed entries were lost. After `end` it does nothing. Rejects with a DiskError.
   */
  keep(newest: PlacedConfiguration): Promise<void> {
    const done = this.#writing.then(async () => {
      if (this.#hasEnded) return;
      if (areSame(newest, this.#placed)) return;
      await writeConfigurationFile(this.#disk, this.#directory, newest);
      this.#placed = newest;
    });
    this.#writing = done.catch(() => {
      // Whoever asked has the rejection; the next write only has to wait for the end of this one.
    });
    return done;
  }

  /** The replica is closed: resolves when nothing is written any more. Its directory may be another replica's soon. */
  end(): Promise<void> {
    this.#hasEnded = true;
    return this.#writing;
  }

  /** The log is another one, which has brought this in a file of its own. */
  replaced(placed: PlacedConfiguration): void {
    this.#placed = placed;
  }
}

function areSame(one: PlacedConfiguration, other: PlacedConfiguration): boolean {
  const encoded = encodeConfiguration(one.configuration);
  return one.index === other.index && encoded.equals(encodeConfiguration(other.configuration));
}
