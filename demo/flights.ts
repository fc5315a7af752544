/**
 * 3,000,000 flights within the United States from January to June 2001, as the npm package vega-datasets has them: departure
 * to the minute, delay in minutes, distance in miles, origin and destination. Kept in columns, some 50 MB, not as objects.
 */
import { fileURLToPath } from 'node:url';
import { zstdDecompressSync } from 'node:zlib';
import { asyncBufferFromFile, parquetMetadataAsync, parquetRead, type ColumnData } from 'hyparquet';

export interface Flights {
  readonly count: number;
  /** Milliseconds since the Unix epoch; the file has local times without a zone, taken as UTC. In ascending order. */
  readonly times: Float64Array;
  readonly delays: Int16Array;
  readonly distances: Int16Array;
  /** Indexes into `airports`. */
  readonly origins: Uint16Array;
  readonly destinations: Uint16Array;
  readonly airports: readonly string[];
}

/** The file's first rows; all of them where no count is given. */
export async function readFlights(range: { readonly count?: number } = {}): Promise<Flights> {
  const file = await asyncBufferFromFile(
    fileURLToPath(new URL('../data/flights-3m.parquet', import.meta.resolve('vega-datasets'))),
  );
  const metadata = await parquetMetadataAsync(file);
  const count = Math.min(range.count ?? Number.POSITIVE_INFINITY, Number(metadata.num_rows));
  const airports = new AirportNames();
  const times = new Float64Array(count);
  const delays = new Int16Array(count);
  const distances = new Int16Array(count);
  const origins = new Uint16Array(count);
  const destinations = new Uint16Array(count);
  const columns: Readonly<Record<string, (row: number, value: unknown) => void>> = {
    date: (row, value) => void (times[row] = Number(value)),
    delay: (row, value) => putSmall(delays, row, Number(value)),
    distance: (row, value) => putSmall(distances, row, Number(value)),
    origin: (row, value) => void (origins[row] = airports.indexOf(String(value))),
    destination: (row, value) => void (destinations[row] = airports.indexOf(String(value))),
  };
  await parquetRead({
    file,
    metadata,
    rowEnd: count,
    compressors: { ZSTD: (input) => zstdDecompressSync(input) },
    onChunk: ({ columnName, columnData, rowStart }: ColumnData) => {
      const put = columns[columnName]!;
      for (let index = 0; index < columnData.length && rowStart + index < count; index++) {
        put(rowStart + index, columnData[index]);
      }
    },
  });
  return { count, times, delays, distances, origins, destinations, airports: airports.names };
}

/** A figure that the column cannot hold must not be cut silently: the comparison would not notice. */
function putSmall(column: Int16Array, row: number, value: number): void {
  column[row] = value;
  if (column[row] !== value)
    throw new Error(`Row ${row} has the figure ${value}, which does not fit 16 bits.`);
}

class AirportNames {
  readonly names: string[] = [];
  readonly #indexes = new Map<string, number>();

  indexOf(name: string): number {
    let index = this.#indexes.get(name);
    if (index === undefined) {
      index = this.names.length;
      this.names.push(name);
      this.#indexes.set(name, index);
    }
    return index;
  }
}

/** A flight as the value of a record. The key is the origin, the timestamp the time of departure. */
export interface FlightValue {
  readonly row: number;
  readonly delay: number;
  readonly distance: number;
  readonly origin: string;
  readonly destination: string;
}

export function flightValue(
  { delays, distances, origins, destinations, airports }: Flights,
  row: number,
): string {
  return `{"row":${row},"delay":${delays[row]},"distance":${distances[row]},"origin":"${airports[origins[row]!]}","destination":"${airports[destinations[row]!]}"}`;
}
