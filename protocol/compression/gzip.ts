/** gzip (RFC 1952) by Node's zlib, which checks the frame's end and checksum. */
import { constants } from 'node:buffer';
import { gunzipSync } from 'node:zlib';
import { bounded } from './bounds.ts';

export function gunzipBounded(data: Buffer, bytesMax: number): Buffer {
  const maxOutputLength = Math.max(1, Math.min(bytesMax, constants.MAX_LENGTH));
  return bounded('gzip', bytesMax, () => gunzipSync(data, { maxOutputLength }));
}
