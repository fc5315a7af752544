import type { Message } from '../client/index.ts';
import type { Flights, FlightValue } from './flights.ts';

const dayMs = 86_400_000;

/** What was read from a topic, held against what the file says should be there. */
export interface Verdict {
  readonly name: string;
  readonly expected: Totals;
  readonly found: Totals;
  /** Rows of the file that never came. */
  readonly missing: number;
  /** Rows that came more than once. */
  readonly repeated: number;
  /** Records that no row of the file explains, or that should have been left out. */
  readonly foreign: number;
  /** Records whose key, time, delay, distance or destination differ from the file's row. */
  readonly altered: number;
  /** Records that came after a later row of the same origin. */
  readonly disordered: number;
  /** Averages by airport and day that differ from those computed from the file. */
  readonly averagesDiffering: number;
}

export interface Totals {
  readonly records: number;
  readonly delaySum: number;
  readonly distanceSum: number;
  /** Averages by airport and day. */
  readonly averages: number;
}

/**
 * Reads records by content: every one is compared with its row of the file, is to come exactly once, and in order within
 * its origin. It also computes the demo's result, the average delay by airport and day.
 */
export class Ledger {
  readonly #flights: Flights;
  readonly #name: string;
  readonly #belongs: (row: number) => boolean;
  readonly #seen: Uint8Array;
  readonly #lastRows: Int32Array;
  readonly #found: Averages;
  readonly #airportIndexes: ReadonlyMap<string, number>;
  #repeated = 0;
  #foreign = 0;
  #altered = 0;
  #disordered = 0;

  /** `belongs` says which rows of the file are to come. */
  constructor(name: string, flights: Flights, belongs: (row: number) => boolean = () => true) {
    this.#name = name;
    this.#flights = flights;
    this.#belongs = belongs;
    this.#seen = new Uint8Array(flights.count);
    this.#lastRows = new Int32Array(flights.airports.length).fill(-1);
    this.#found = new Averages(flights);
    this.#airportIndexes = new Map(flights.airports.map((airport, index) => [airport, index]));
  }

  get records(): number {
    return this.#found.records;
  }

  add(message: Message): void {
    const value: FlightValue = JSON.parse(message.value!.toString('latin1'));
    const origin = this.#airportIndexes.get(message.key!.toString('latin1')) ?? -1;
    this.#found.add(origin, message.timestamp, value.delay, value.distance);
    const { row } = value;
    if (!(row >= 0 && row < this.#flights.count) || !this.#belongs(row)) {
      this.#foreign += 1;
      return;
    }
    if (this.#seen[row] === 1) this.#repeated += 1;
    this.#seen[row] = 1;
    if (!this.#agrees(message, value, origin)) this.#altered += 1;
    if (origin < 0) return;
    if (row < this.#lastRows[origin]!) this.#disordered += 1;
    this.#lastRows[origin] = row;
  }

  verdict(): Verdict {
    const { count, origins, times, delays, distances } = this.#flights;
    const expected = new Averages(this.#flights);
    let missing = 0;
    for (let row = 0; row < count; row++) {
      if (!this.#belongs(row)) continue;
      expected.add(origins[row]!, times[row]!, delays[row]!, distances[row]!);
      if (this.#seen[row] === 0) missing += 1;
    }
    return {
      name: this.#name,
      expected: expected.totals(),
      found: this.#found.totals(),
      missing,
      repeated: this.#repeated,
      foreign: this.#foreign,
      altered: this.#altered,
      disordered: this.#disordered,
      averagesDiffering: expected.differing(this.#found),
    };
  }

  /** The airport and day with the worst average delay, of those with at least 50 departures. */
  worst(): { readonly airport: string; readonly day: string; readonly averageDelay: number } {
    return this.#found.worst(50);
  }

  #agrees(message: Message, value: FlightValue, origin: number): boolean {
    const { times, delays, distances, origins, destinations, airports } = this.#flights;
    const { row } = value;
    return (
      origins[row] === origin &&
      airports[origin] === value.origin &&
      times[row] === message.timestamp &&
      delays[row] === value.delay &&
      distances[row] === value.distance &&
      airports[destinations[row]!] === value.destination
    );
  }
}

/** Anything different at all? */
export function differs(verdict: Verdict): boolean {
  const { expected, found, missing, repeated, foreign, altered, disordered, averagesDiffering } = verdict;
  const faults = missing + repeated + foreign + altered + disordered + averagesDiffering;
  return faults > 0 || JSON.stringify(expected) !== JSON.stringify(found);
}

/** Delay sums and counts by airport and day. */
class Averages {
  records = 0;
  delaySum = 0;
  distanceSum = 0;
  readonly #airports: readonly string[];
  readonly #firstDay: number;
  readonly #days: number;
  readonly #sums: Int32Array;
  readonly #counts: Int32Array;

  constructor({ airports, times, count }: Flights) {
    this.#airports = airports;
    this.#firstDay = Math.floor(times[0]! / dayMs);
    this.#days = Math.floor(times[count - 1]! / dayMs) - this.#firstDay + 1;
    this.#sums = new Int32Array(airports.length * this.#days);
    this.#counts = new Int32Array(airports.length * this.#days);
  }

  /** `airport` -1 or a day outside the file's count in the totals alone. */
  add(airport: number, timeMs: number, delay: number, distance: number): void {
    this.records += 1;
    this.delaySum += delay;
    this.distanceSum += distance;
    const day = Math.floor(timeMs / dayMs) - this.#firstDay;
    if (airport < 0 || day < 0 || day >= this.#days) return;
    const cell = airport * this.#days + day;
    this.#sums[cell]! += delay;
    this.#counts[cell]! += 1;
  }

  totals(): Totals {
    const averages = this.#counts.reduce((sum, count) => sum + (count > 0 ? 1 : 0), 0);
    return { records: this.records, delaySum: this.delaySum, distanceSum: this.distanceSum, averages };
  }

  differing(other: Averages): number {
    return this.#sums.reduce(
      (sum, delays, cell) =>
        sum + (delays === other.#sums[cell] && this.#counts[cell] === other.#counts[cell] ? 0 : 1),
      0,
    );
  }

  worst(departuresMin: number): { airport: string; day: string; averageDelay: number } {
    let best = -1;
    let averageDelay = Number.NEGATIVE_INFINITY;
    this.#counts.forEach((count, cell) => {
      if (count < departuresMin || this.#sums[cell]! / count <= averageDelay) return;
      averageDelay = this.#sums[cell]! / count;
      best = cell;
    });
    const day = new Date((this.#firstDay + (best % this.#days)) * dayMs).toISOString().slice(0, 10);
    return { airport: this.#airports[Math.floor(best / this.#days)] ?? '', day, averageDelay };
  }
}
