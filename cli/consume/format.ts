import type { Message } from '../../client/index.ts';
import { usageError } from '../cli-error.ts';
import { recordToJson } from '../record-json.ts';
import { formatTime } from '../times.ts';

/** Prints one record; pieces are text or raw bytes, in order. */
export type RecordFormat = (message: Message, write: (piece: string | Buffer) => void) => void;

type Piece = string | ((message: Message) => string | Buffer);

const empty = Buffer.alloc(0);

const placeholders: Readonly<Record<string, (message: Message) => string | Buffer>> = {
  k: ({ key }) => key ?? empty,
  v: ({ value }) => value ?? empty,
  t: ({ topic }) => topic,
  p: ({ partition }) => String(partition),
  o: ({ offset }) => String(offset),
  s: ({ timestamp }) => String(timestamp),
  T: ({ timestamp }) => formatTime(timestamp),
  h: ({ headers }) => headers.map(([name, value]) => `${name}=${value?.toString() ?? ''}`).join(','),
  '%': () => '%',
};

export const jsonFormat: RecordFormat = (message, write) => write(`${recordToJson(message)}\n`);

/** A record's value, and a newline. */
export const valueFormat: RecordFormat = compileFormat('%v\\n');

/** Makes a format of text such as `%p:%o %T %k %v\n`; throws a usage error for a placeholder that does not exist. */
export function compileFormat(text: string): RecordFormat {
  const pieces: Piece[] = [];
  for (const match of text.matchAll(/%(.?)|\\([nt\\])|([^%\\]+|\\)/gsu)) {
    if (match[1] !== undefined) pieces.push(placeholder(match[1], text));
    else if (match[2] !== undefined) pieces.push({ n: '\n', t: '\t' }[match[2]] ?? '\\');
    else pieces.push(match[3]!);
  }
  return (message, write) => {
    for (const piece of pieces) write(typeof piece === 'string' ? piece : piece(message));
  };
}

function placeholder(letter: string, text: string): Piece {
  const found = placeholders[letter];
  if (found !== undefined) return found;
  throw usageError(
    `--format "${text}" has %${letter}, which means nothing; there are %k key, %v value, %t topic, %p partition, %o offset, ` +
      '%T time, %s epoch milliseconds, %h headers and %% for a percent sign.',
  );
}
