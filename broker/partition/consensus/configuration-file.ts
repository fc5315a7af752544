/**
 * The file `raft-configuration` in a partition's directory: the newest configuration that is known to be committed, so that it
 * outlives the part of the log that it stands in (storage-format.md). What stands in the log after its index counts before it.
 */
import { DiskError } from '../../../platform/disk.ts';
import type { Disk } from '../../../platform/disk.ts';
import { readWholeFile, replaceFile } from '../../../platform/whole-files.ts';
import { crc32c } from '../../../protocol/index.ts';
import { decodeConfiguration, encodeConfiguration } from '../../raft/configuration-codec.ts';
import type { PlacedConfiguration } from '../../raft/configuration.ts';

const name = 'raft-configuration';
const magic = Buffer.from('KLMEMBR1', 'latin1');
/** magic, CRC-32C of the rest, index int64 */
const fixedBytes = 20;

/** Undefined where there is none. Rejects with a DamagedConfiguration or a DiskError. */
export async function readConfigurationFile(
  disk: Disk,
  directory: string,
): Promise<PlacedConfiguration | undefined> {
  const path = `${directory}/${name}`;
  const bytes = await readWholeFile(disk, path).catch((error: unknown) => {
    if (error instanceof DiskError && error.code === 'not-found') return undefined;
    throw error;
  });
  if (bytes === undefined) return undefined;
  const isWhole =
    bytes.length > fixedBytes &&
    bytes.subarray(0, magic.length).equals(magic) &&
    bytes.readUInt32BE(8) === crc32c(bytes.subarray(12));
  const configuration = isWhole ? decodeConfiguration(bytes.subarray(fixedBytes)) : undefined;
  if (configuration === undefined) throw new DamagedConfiguration(path);
  return { index: Number(bytes.readBigInt64BE(12)), configuration };
}

/** Durable when it resolves. Rejects with a DiskError. */
export async function writeConfigurationFile(
  disk: Disk,
  directory: string,
  { index, configuration }: PlacedConfiguration,
): Promise<void> {
  const content = encodeConfiguration(configuration);
  const bytes = Buffer.alloc(fixedBytes + content.length);
  magic.copy(bytes);
  bytes.writeBigInt64BE(BigInt(index), 12);
  content.copy(bytes, fixedBytes);
  bytes.writeUInt32BE(crc32c(bytes.subarray(12)), 8);
  await replaceFile(disk, directory, name, bytes);
}

/** Who the members are cannot be known: the replica must neither vote nor lead. */
export class DamagedConfiguration extends Error {
  constructor(path: string) {
    super(
      `${path} is damaged, missing, or of a newer format, so that it is not known who replicates this partition: ` +
        "remove the partition's directory, and the other replicas make it anew, or restore the file from a backup",
    );
    this.name = 'DamagedConfiguration';
  }
}
