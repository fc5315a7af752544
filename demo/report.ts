import { SingleBar } from 'cli-progress';
import { differs, type Verdict } from './ledger.ts';

const count = (value: number): string => value.toLocaleString('en-US');

/** Runs a step under a progress bar (on a terminal) and prints what it took; `describe` ends its line. */
export async function step<T>(
  name: string,
  total: number,
  work: (progress: (done: number) => void) => Promise<T>,
  describe: (result: T, seconds: number) => string = () => '',
): Promise<T> {
  const began = performance.now();
  const shown = process.stderr.isTTY && total > 0;
  const bar = new SingleBar({
    format: `${name.padEnd(44)} {bar} {percentage}%  {value}/{total}`,
    barsize: 20,
    clearOnComplete: true,
    hideCursor: true,
    stream: process.stderr,
  });
  if (shown) bar.start(total, 0);
  try {
    const result = await work((done) => {
      if (shown) bar.update(done);
    });
    if (shown) bar.stop();
    const seconds = (performance.now() - began) / 1000;
    process.stdout.write(
      `${name.padEnd(44)} ${seconds.toFixed(1).padStart(6)} s  ${describe(result, seconds)}`.trimEnd() + '\n',
    );
    return result;
  } catch (error) {
    if (shown) bar.stop();
    throw error;
  }
}

/** "250,000 records/s" */
export function rate(records: number, seconds: number): string {
  return `${count(Math.round(records / seconds))} records/s`;
}

/** One table: a row for each thing compared, the file's figure beside what was read from each topic. Markdown. */
export function comparison(verdicts: readonly Verdict[]): string {
  const rows: [string, (verdict: Verdict) => string][] = [
    ['records, file', ({ expected }) => count(expected.records)],
    ['records, read', ({ found }) => count(found.records)],
    ['sum of delays (min), file', ({ expected }) => count(expected.delaySum)],
    ['sum of delays (min), read', ({ found }) => count(found.delaySum)],
    ['sum of distances (miles), file', ({ expected }) => count(expected.distanceSum)],
    ['sum of distances (miles), read', ({ found }) => count(found.distanceSum)],
    ['averages by airport and day, file', ({ expected }) => count(expected.averages)],
    ['averages by airport and day, differing', ({ averagesDiffering }) => count(averagesDiffering)],
    ['rows missing', ({ missing }) => count(missing)],
    ['rows repeated', ({ repeated }) => count(repeated)],
    ['rows that do not belong', ({ foreign }) => count(foreign)],
    ['rows with other content', ({ altered }) => count(altered)],
    ['rows out of order within their airport', ({ disordered }) => count(disordered)],
    ['verdict', (verdict) => (differs(verdict) ? 'DIFFERENT' : 'equal')],
  ];
  const cells = [
    ['compared by content', ...verdicts.map(({ name }) => name)],
    ...rows.map(([title, value]) => [title, ...verdicts.map(value)]),
  ];
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((text, column) => (column === 0 ? text.padEnd(widths[column]!) : text.padStart(widths[column]!))).join(' | ')} |`;
  const rule = `|${widths.map((width, column) => (column === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  return [line(cells[0]!), rule, ...cells.slice(1).map(line)].join('\n');
}
