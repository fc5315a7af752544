/** What the codecs share: their typed errors. */
import { ProtocolError } from '../protocol-error.ts';

export function failTooLarge(bytesMax: number): never {
  throw new ProtocolError('decompressed-too-large', `the records decompress to more than ${bytesMax} bytes`);
}

export function failDamaged(codec: string, what: string, cause?: unknown): never {
  throw new ProtocolError(
    'bad-compression',
    `${codec}: ${what}`,
    cause === undefined ? undefined : { cause },
  );
}

/** Runs Node's zlib and turns its errors into ours. */
export function bounded(codec: string, bytesMax: number, run: () => Buffer): Buffer {
  let output: Buffer;
  try {
    output = run();
  } catch (error) {
    return failDecompression(codec, bytesMax, error);
  }
  // zlib takes no limit below one byte.
  if (output.length > bytesMax) failTooLarge(bytesMax);
  return output;
}

/** What Node's zlib has thrown, as an error of ours. */
export function failDecompression(codec: string, bytesMax: number, error: unknown): never {
  if (!(error instanceof Error)) throw error;
  if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') return failTooLarge(bytesMax);
  return failDamaged(codec, error.message, error);
}
