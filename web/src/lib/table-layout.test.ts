import { describe, expect, it } from 'vitest';
import { PICTURE_ROWS_MAX, layOut, type DataTable } from './table-layout';

const measure = (text: string): number => [...text].length * 7;

function table(rows: DataTable['rows']): DataTable {
  return { file: 'x', title: 'X', head: ['name', 'n'], rows };
}

describe('a table as a picture', () => {
  it('has columns as wide as their widest text, and numbers to the right', () => {
    const { widths, right, more } = layOut(table([['a name', 5], [null, 12_345]]), measure);
    expect([widths, right, more]).toEqual([[42, 35], [false, true], 0]);
  });

  it('cuts long cells, and takes what cannot be seen out of them', () => {
    const { rows } = layOut(table([['x'.repeat(9_000), NaN], ['a\u202Eb\u0000\nc', 1]]), measure);
    expect([rows[0]?.[0]?.length, rows[0]?.[1], rows[1]?.[0]]).toEqual([80, '', 'a b c']);
  });

  it('of a long list ends, and says how much is left', () => {
    const { rows, more } = layOut(table(Array.from({ length: 1_000 }, (_, n) => ['x', n])), measure);
    expect([rows.length, more]).toEqual([PICTURE_ROWS_MAX, 1_000 - PICTURE_ROWS_MAX]);
  });
});
