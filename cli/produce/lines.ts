const newline = 0x0a;

/** A line as bytes, without its newline, numbered from 1. */
export interface Line {
  readonly number: number;
  readonly bytes: Buffer;
}

/**
 * Cuts a stream of bytes into lines, all that a chunk completes at a time. A last line without a newline counts; bytes are
 * not touched, so a value may hold anything but a newline.
 */
export async function* readLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<Line[], void, undefined> {
  let number = 0;
  /** Pieces of a line whose end has not come yet. */
  let pieces: Buffer[] = [];
  for await (const chunk of chunks) {
    const lines: Line[] = [];
    let start = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      const piece = chunk.subarray(start, end);
      number += 1;
      lines.push({ number, bytes: pieces.length === 0 ? piece : Buffer.concat([...pieces, piece]) });
      pieces = [];
      start = end + 1;
    }
    if (start < chunk.length) pieces.push(chunk.subarray(start));
    if (lines.length > 0) yield lines;
  }
  if (pieces.length > 0) yield [{ number: number + 1, bytes: Buffer.concat(pieces) }];
}
