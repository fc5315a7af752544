/** Which runs the bench makes, and how large each is. */

export type Mode = 'produce' | 'consume' | 'e2e';

/** One value size and partition count: a fresh topic, produced and then consumed, and another for latencies. */
export interface Shape {
  readonly sizeBytes: number;
  readonly partitions: number;
  readonly modes: readonly Mode[];
  /** 1 where absent. */
  readonly replicationFactor?: number;
  /** `name=value`, several with commas. */
  readonly topicConfigs?: string;
  /** Of a produce or consume run; recordCount where absent. */
  readonly records?: number;
}

const sizesBytes = [100, 1024, 10_240];
const partitionCounts = [1, 6, 100];
const allModes: readonly Mode[] = ['produce', 'consume', 'e2e'];

/** Times that a consume run reads the topic: a single pass would be too short to measure. */
export const consumeRounds = 3;

/** Records a second in a latency run. */
export const latencyRate = 1000;

export function rowName(mode: Mode, shape: Pick<Shape, 'sizeBytes' | 'partitions'>): string {
  const size = shape.sizeBytes < 1024 ? `${shape.sizeBytes} B` : `${shape.sizeBytes / 1024} KiB`;
  return `${mode} ${size} x ${shape.partitions}`;
}

/** The shapes with a row whose name contains `filter`; consuming needs the produce run before it, which then is not shown. */
export function shapes(filter: string | undefined): Shape[] {
  const all = sizesBytes.flatMap((sizeBytes) =>
    partitionCounts.map((partitions) => {
      const wanted = (mode: Mode): boolean =>
        filter === undefined || rowName(mode, { sizeBytes, partitions }).includes(filter);
      return { sizeBytes, partitions, modes: allModes.filter(wanted) };
    }),
  );
  return all.filter(({ modes }) => modes.length > 0);
}

/** So many records that a run takes 2 to 4 seconds on two cores; a tenth of it when quick. */
export function recordCount(sizeBytes: number, quick: boolean): number {
  const full = sizeBytes < 1024 ? 4_000_000 : sizeBytes < 10_240 ? 1_000_000 : 100_000;
  return quick ? full / 10 : full;
}
