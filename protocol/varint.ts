/** Zigzag varints written in place: the sizes and bytes of record fields. The caller has made room. */
import { ProtocolError } from './protocol-error.ts';

const two31 = 2_147_483_648;

/** Bytes that a 32-bit zigzag varint takes. */
export function varintBytes(value: number): number {
  const zigzag = ((value << 1) ^ (value >> 31)) >>> 0;
  if (zigzag < 0x80) return 1;
  if (zigzag < 0x4000) return 2;
  if (zigzag < 0x20_0000) return 3;
  return zigzag < 0x1000_0000 ? 4 : 5;
}

/** Bytes that a 64-bit zigzag varint takes. */
export function varlongBytes(value: number): number {
  if (value >= -two31 && value < two31) return varintBytes(value);
  checkSafe(value);
  let rest = value < 0 ? -(value + 1) : value;
  let size = 1;
  // The lowest group holds six bits of the magnitude beside the sign.
  for (rest = Math.floor(rest / 64); rest > 0; rest = Math.floor(rest / 128)) size++;
  return size;
}

/** Writes a 32-bit zigzag varint and returns the position after it. */
export function writeVarint(buffer: Buffer, start: number, value: number): number {
  let position = start;
  let rest = ((value << 1) ^ (value >> 31)) >>> 0;
  while (rest > 0x7f) {
    buffer[position++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  buffer[position] = rest;
  return position + 1;
}

/** Writes a 64-bit zigzag varint and returns the position after it. */
export function writeVarlong(buffer: Buffer, start: number, value: number): number {
  if (value >= -two31 && value < two31) return writeVarint(buffer, start, value);
  checkSafe(value);
  let position = start;
  const magnitude = value < 0 ? -(value + 1) : value;
  // The zigzag form has up to 54 bits, more than a double counts: the lowest group is taken from the magnitude.
  let group = (magnitude % 64) * 2 + (value < 0 ? 1 : 0);
  let rest = Math.floor(magnitude / 64);
  while (rest > 0) {
    buffer[position++] = group | 0x80;
    group = rest % 128;
    rest = Math.floor(rest / 128);
  }
  buffer[position] = group;
  return position + 1;
}

function checkSafe(value: number): void {
  if (!Number.isSafeInteger(value))
    throw new ProtocolError('unsafe-integer', `${value} is not a safe integer`);
}
