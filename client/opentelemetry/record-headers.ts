/** Trace contexts in the headers of records. */
import type { TextMapGetter, TextMapSetter } from '@opentelemetry/api';
import type { Content, HeadersInput } from '../messages.ts';

export type HeaderPairs = readonly (readonly [key: string, value: Content])[];

export const headerGetter: TextMapGetter<HeaderPairs> = {
  keys: (pairs) => [...new Set(pairs.map(([key]) => key))],
  /** The last one, where there are several. */
  get: (pairs, wanted) => {
    const value = pairs.findLast(([key]) => key === wanted)?.[1];
    return value === undefined || value === null ? undefined : textOf(value);
  },
};

export const headerSetter: TextMapSetter<[key: string, value: Content][]> = {
  set: (pairs, key, value) => void pairs.push([key, value]),
};

export function pairsOf(headers: HeadersInput | undefined): HeaderPairs {
  if (headers === undefined) return [];
  return isPairs(headers) ? headers : Object.entries(headers);
}

function isPairs(headers: HeadersInput): headers is HeaderPairs {
  return Array.isArray(headers);
}

function textOf(value: string | Uint8Array): string {
  return typeof value === 'string' ? value : Buffer.from(value).toString();
}
