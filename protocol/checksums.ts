/** CRC-32C (record batches, Kappalog's own files) and CRC-32 (Kafka's old message sets). */
import { createRequire } from 'node:module';
import { crc32 as zlibCrc32 } from 'node:zlib';

type Checksum = (bytes: Uint8Array, seed?: number) => number;

/** Below this size a call into native code costs more than it saves (measured: they meet between 300 and 600 bytes). */
const nativeBytesMin = 512;

const require = createRequire(import.meta.url);
const { buf: portable }: { readonly buf: Checksum } = require('crc-32/crc32c.js');
const native = loadNative();

/** CRC-32C as an unsigned number; `seed` is the checksum of the bytes that come before. */
export function crc32c(bytes: Buffer, seed = 0): number {
  if (native === undefined || bytes.length < nativeBytesMin) return portable(bytes, seed) >>> 0;
  return native(bytes, seed);
}

/** CRC-32 (IEEE) as an unsigned number. */
export function crc32(bytes: Buffer): number {
  return zlibCrc32(bytes);
}

/** The native code has builds for common platforms only; elsewhere the portable one does all the work. */
function loadNative(): Checksum | undefined {
  try {
    const loaded: { readonly crc32c: Checksum } = require('@node-rs/crc32');
    return loaded.crc32c;
  } catch {
    return undefined;
  }
}
