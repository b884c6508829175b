/** A list as columns: what the page shows, what a file of it holds and what a picture of it, said once. Pure. */

import type { CsvValue } from './csv';
import { NO_FIGURE } from './format';
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
  /** The same in words for the page and a picture. */
  text?: (row: Row) => string;
  /** Too much for a picture: in the file only. */
  fileOnly?: boolean;
}

/** What a cell says where nothing else draws it. */
export function cellText<Row>({ value, text }: ListColumn<Row>, row: Row): string {
  if (text) return text(row);
  if (!value) return '';
  const plain = value(row) ?? '';
  return plain === '' ? NO_FIGURE : String(plain);
}

export function listData<Row>(file: string, title: string, columns: readonly ListColumn<Row>[], rows: readonly Row[]): DataTable {
  const kept = columns.flatMap((column) => (column.value ? [{ ...column, value: column.value }] : []));
  const drawn = kept.filter(({ fileOnly }) => !fileOnly);
  return {
    file,
    title,
    head: kept.map(({ key }) => key),
    rows: rows.map((row) => kept.map(({ value }) => value(row))),
    picture: {
      columns: drawn.map((column) => ({ title: column.title, right: column.right ?? false })),
      // Asked for row by row: a picture has only the first of them.
      row: (index) => drawn.map((column) => cellText(column, rows[index] as Row)),
    },
  };
}
