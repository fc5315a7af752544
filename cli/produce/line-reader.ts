import type { MessageInput } from '../../client/index.ts';
import { recordFromJson } from '../record-json.ts';
import type { Line } from './lines.ts';

export interface LineFormat {
  readonly format: 'lines' | 'json';
  /** Between key and value of a plain line. */
  readonly keySeparator: string | undefined;
}

/** Makes a record of a line; the function that it returns throws an Error that says what is wrong with the line. */
export function lineReader({ format, keySeparator }: LineFormat): (line: Line) => MessageInput {
  if (format === 'json') return ({ bytes }) => recordFromJson(bytes.toString('utf8'));
  if (keySeparator === undefined) return ({ bytes }) => ({ value: bytes });
  const separator = Buffer.from(keySeparator);
  return ({ bytes }) => {
    const at = bytes.indexOf(separator);
    if (at < 0) throw new Error(`it has no key separator ${JSON.stringify(keySeparator)}`);
    return { key: bytes.subarray(0, at), value: bytes.subarray(at + separator.length) };
  };
}
