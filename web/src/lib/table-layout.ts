/** A table as it is drawn into a picture: which rows and how wide each column. Pure; `state/picture.ts` draws it. */

import type { CsvValue } from './csv';

export interface DataTable {
  /** Begins the file's name. */
  file: string;
  /** Stands above the table in a picture. */
  title: string;
  head: readonly string[];
  rows: readonly (readonly CsvValue[])[];
  /** The same for people: titles and cells as the page has them. */
  picture: {
    columns: readonly { title: string; right: boolean }[];
    row: (index: number) => readonly string[];
  };
}

/** Rows of a picture: canvases end at 16,384 pixels, and nobody reads more from one. The CSV has all. */
export const PICTURE_ROWS_MAX = 250;
/** Characters of a cell; a longer one is cut, so that one log line does not make a banner. */
const CELL_CHARS_MAX = 80;

export interface LaidOut {
  head: string[];
  rows: string[][];
  /** Width of each column, pixels. */
  widths: number[];
  /** Columns of figures are set to the right. */
  right: boolean[];
  /** Rows that found no place. */
  more: number;
}

/** `measure` tells how wide a text is drawn, pixels. */
export function layOut({ rows: all, picture }: Pick<DataTable, 'rows' | 'picture'>, measure: (text: string) => number): LaidOut {
  const rows = all.slice(0, PICTURE_ROWS_MAX).map((_, index) => picture.row(index).map(shortened));
  const head = picture.columns.map(({ title }) => title);
  const widths = head.map((name, column) => Math.ceil(rows.reduce((widest, row) => Math.max(widest, measure(row[column] ?? '')), measure(name))));
  return { head, rows, widths, right: picture.columns.map(({ right }) => right), more: all.length - rows.length };
}

function shortened(text: string): string {
  // What cannot be seen must not move what can: control and direction marks become spaces.
  const shown = text.replace(/[\p{Cc}\p{Cf}]+/gu, ' ').trim();
  const letters = [...shown];
  return letters.length > CELL_CHARS_MAX ? `${letters.slice(0, CELL_CHARS_MAX - 1).join('')}…` : shown;
}
