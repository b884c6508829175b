/** A list as columns: what the page shows and what a file of it holds, said once. Pure. */

import type { CsvValue } from './csv';
import type { DataTable } from './table-layout';

export interface ListColumn<Row> {
  /** Its name in a file, and that of the slot which draws its cells. */
  key: string;
  title: string;
  /** Figures stand at the right. */
  right?: boolean;
  /** The title is read out, not shown. */
  quiet?: boolean;
  /** What a file says; a column without it (buttons) is in none. Nothing secret: files are sent around. */
  value?: (row: Row) => CsvValue;
}

export function listData<Row>(file: string, title: string, columns: readonly ListColumn<Row>[], rows: readonly Row[]): DataTable {
  const kept = columns.flatMap(({ key, value }) => (value ? [{ key, value }] : []));
  return { file, title, head: kept.map(({ key }) => key), rows: rows.map((row) => kept.map(({ value }) => value(row))) };
}
