/**
 * Whom a partition was created with, once that is not what the metadata says any more. Pure; part of `partition-image.ts`.
 *
 * A replica that is opened late, after its partition's intent has changed, must know it: until a majority of the founders is there the
 * group has no leader, who alone could tell anybody of its members, and none that could carry out the change. A founder that has
 * stayed all the time, in the directory that it was given at first, cannot have been there before and have lost what it had: as late as it
 * comes, it counts itself in.
 *
 * Founders leave only when a leader has carried out a change. From then on there is one to learn from, and they are forgotten.
 */
import type { PartitionImage } from './partition-image.ts';

export interface Founder {
  readonly nodeId: number;
  readonly directoryId: string;
  /** It never was to have another directory since. */
  readonly hasStayed: boolean;
}

/** Kappalog's own tag in PartitionRecord, as in `metadata-record.ts`: the founders, as JSON. */
const foundersTag = 10_000;

type Placed = Pick<PartitionImage, 'replicas' | 'directories'>;

/** Of a partition whose intent has not changed yet: undefined where not all directories are known. */
export function foundersOf({ replicas, directories }: Placed, unassigned: string): Founder[] | undefined {
  const founders = replicas.map((nodeId, place) => {
    return { nodeId, directoryId: directories[place] ?? unassigned, hasStayed: true };
  });
  return founders.some(({ directoryId }) => directoryId === unassigned) ? undefined : founders;
}

/** What is left of them after a change; undefined where one of them has been taken out. */
export function foundersAfter(
  founders: readonly Founder[] | undefined,
  { replicas, directories }: Placed,
): readonly Founder[] | undefined {
  if (founders?.every(({ nodeId }) => replicas.includes(nodeId)) !== true) return undefined;
  return founders.map((founder) => {
    const isThere = directories[replicas.indexOf(founder.nodeId)] === founder.directoryId;
    return isThere ? founder : { ...founder, hasStayed: false };
  });
}

/** For a snapshot. */
export function foundersField(founders: readonly Founder[]): { tag: number; data: Buffer }[] {
  const entries = founders.map(({ nodeId, directoryId, hasStayed }) => [nodeId, directoryId, hasStayed]);
  return [{ tag: foundersTag, data: Buffer.from(JSON.stringify(entries)) }];
}

/** From a snapshot. */
export function recordedFounders(
  fields: readonly { readonly tag: number; readonly data: Buffer }[] | undefined,
): Founder[] | undefined {
  const field = fields?.find(({ tag }) => tag === foundersTag);
  if (field === undefined) return undefined;
  const entries: [number, string, boolean][] = JSON.parse(field.data.toString());
  return entries.map(([nodeId, directoryId, hasStayed]) => ({ nodeId, directoryId, hasStayed }));
}
