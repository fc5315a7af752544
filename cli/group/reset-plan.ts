/** What a reset of a group comes to, partition by partition. Pure; offsets are looked up before. */
export interface KnownPartition {
  readonly topic: string;
  readonly partition: number;
  /** `null` where nothing is committed. */
  readonly committed: number | null;
  readonly start: number;
  readonly end: number;
}

/** Where a partition is to go: an offset; so many records before its end; on from where it is. */
export type ResetTarget =
  | { readonly kind: 'offset'; readonly offset: number }
  | { readonly kind: 'before-end'; readonly records: number }
  | { readonly kind: 'shift'; readonly records: number };

export interface PlannedReset {
  readonly topic: string;
  readonly partition: number;
  readonly from: number | null;
  readonly to: number;
  /** Records that will be read once more (negative: that will be left out); `null` where nothing was committed. */
  readonly again: number | null;
  /** It was to go where the log has nothing, and goes to the nearest place that there is. */
  readonly isClamped: boolean;
}

/** A shift goes from where nothing is committed from the beginning of the log, as a reader without a commit would begin there. */
export function planReset(
  { topic, partition, committed, start, end }: KnownPartition,
  target: ResetTarget,
): PlannedReset {
  const wanted = wantedOffset({ committed, start, end }, target);
  const to = Math.min(Math.max(wanted, start), end);
  return {
    topic,
    partition,
    from: committed,
    to,
    again: committed === null ? null : committed - to,
    isClamped: to !== wanted,
  };
}

function wantedOffset(
  { committed, start, end }: Pick<KnownPartition, 'committed' | 'start' | 'end'>,
  target: ResetTarget,
): number {
  if (target.kind === 'offset') return target.offset;
  return target.kind === 'before-end' ? end - target.records : (committed ?? start) + target.records;
}

/** Lines of `topic,partition,offset`, as Kafka's own tool writes and reads them. */
export function toCsv(plan: readonly Pick<PlannedReset, 'topic' | 'partition' | 'to'>[]): string {
  return plan.map(({ topic, partition, to }) => `${topic},${partition},${to}`).join('\n');
}

/** Returns the line that cannot be read, counted from 1, in place of the offsets. Empty lines and a heading are passed over. */
export function fromCsv(
  text: string,
): readonly { readonly topic: string; readonly partition: number; readonly offset: number }[] | number {
  const found = [];
  for (const [place, line] of text.split('\n').entries()) {
    const fields = line
      .trim()
      .replaceAll('"', '')
      .split(',')
      .map((field) => field.trim());
    if (fields.length === 1 && fields[0] === '') continue;
    if (place === 0 && /^topic$/i.test(fields[0] ?? '')) continue;
    const [topic = '', partition = '', offset = ''] = fields;
    const isRead =
      fields.length === 3 && topic !== '' && /^\d{1,7}$/.test(partition) && /^\d{1,16}$/.test(offset);
    if (!isRead || !Number.isSafeInteger(Number(offset))) return place + 1;
    found.push({ topic, partition: Number(partition), offset: Number(offset) });
  }
  return found;
}
