import type { HeadersInput, Header, Message } from '../messages.ts';

/**
 * Headers that say where a replayed record comes from, so that a reader can tell a replayed one from a live one and
 * drop a repeated one. They name the record that was read; those of an earlier replay are replaced.
 */
export const provenanceHeader = {
  replay: 'kappalog-replay-id',
  topic: 'kappalog-source-topic',
  partition: 'kappalog-source-partition',
  offset: 'kappalog-source-offset',
} as const;

const names: ReadonlySet<string> = new Set(Object.values(provenanceHeader));

/** The headers to write for `output`, made from `source`: the output's own, then the provenance. */
export function withProvenance(
  replayId: string,
  source: Message,
  output: { readonly headers?: HeadersInput },
): HeadersInput {
  const own = headerPairs(output.headers).filter(([name]) => !names.has(name));
  return [
    ...own,
    [provenanceHeader.replay, replayId],
    [provenanceHeader.topic, source.topic],
    [provenanceHeader.partition, String(source.partition)],
    [provenanceHeader.offset, String(source.offset)],
  ];
}

export interface Provenance {
  readonly replayId: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** Where a record that was read comes from; undefined for a record that no replay has written. */
export function readProvenance(headers: readonly Header[]): Provenance | undefined {
  const values = new Map(headers.map(([name, value]) => [name, value?.toString() ?? '']));
  const replayId = values.get(provenanceHeader.replay);
  const topic = values.get(provenanceHeader.topic);
  const partition = Number(values.get(provenanceHeader.partition) ?? Number.NaN);
  const offset = Number(values.get(provenanceHeader.offset) ?? Number.NaN);
  if (replayId === undefined || topic === undefined) return undefined;
  if (!Number.isSafeInteger(partition) || !Number.isSafeInteger(offset)) return undefined;
  return { replayId, topic, partition, offset };
}

function headerPairs(headers: HeadersInput | undefined): Extract<HeadersInput, readonly unknown[]> {
  if (headers === undefined) return [];
  return Array.isArray(headers) ? headers : Object.entries(headers);
}
