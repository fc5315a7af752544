/** Rows as text in columns, for people. Machines take `-o json`. */

export type Cell = string | number | boolean | null | undefined;

export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => Cell;
  /** Numbers stand right, in groups of three digits. */
  readonly align?: 'left' | 'right';
}

/** Lines with a heading, without a trailing newline; a table without rows has its heading alone. */
export function renderTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const body = rows.map((row) => columns.map((column) => cellText(column.cell(row))));
  const widths = columns.map((column, index) =>
    Math.max(column.title.length, ...body.map((cells) => displayWidth(cells[index]!))),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((text, index) => {
        const padding = ' '.repeat(Math.max(0, widths[index]! - displayWidth(text)));
        return columns[index]!.align === 'right' ? padding + text : text + padding;
      })
      .join('  ')
      .trimEnd();
  return [line(columns.map((column) => column.title.toUpperCase())), ...body.map(line)].join('\n');
}

/** Whole numbers in groups of three digits: 3,000,000. */
export function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}

/** A number with what it counts: 1 partition, 3,000 partitions. */
export function countOf(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

/** Bytes in binary units with one decimal: 1.5 MiB. */
export function formatBytes(sizeBytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let size = sizeBytes;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return unit === 0 ? `${size} B` : `${size.toFixed(1)} ${units[unit]}`;
}

function cellText(cell: Cell): string {
  if (cell === null || cell === undefined) return '-';
  if (typeof cell === 'number') return formatCount(cell);
  return String(cell);
}

/** Characters, not UTF-16 units; wide scripts count as two columns. */
function displayWidth(text: string): number {
  let width = 0;
  for (const character of text)
    width +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\u{1f300}-\u{1faff}]/u.test(
        character,
      )
        ? 2
        : 1;
  return width;
}
