import { describe, expect, it } from 'vitest';
import { listData } from './list-table';
import { PICTURE_ROWS_MAX, layOut, type LaidOut } from './table-layout';

const measure = (text: string): number => [...text].length * 7;

function laidOut(rows: [name: string | null, n: number][]): LaidOut {
  const columns = [
    { key: 'name', title: 'Name', value: ([name]: (typeof rows)[number]) => name },
    { key: 'n', title: 'N', right: true, value: ([, n]: (typeof rows)[number]) => n },
  ];
  return layOut(listData('x', 'X', columns, rows), measure);
}

describe('a table as a picture', () => {
  it('has columns as wide as their widest text, and figures to the right', () => {
    const { head, widths, right, more } = laidOut([['a name', 5], [null, 12_345]]);
    expect([head, widths, right, more]).toEqual([['Name', 'N'], [42, 35], [false, true], 0]);
  });

  it('cuts long cells, and takes what cannot be seen out of them', () => {
    const { rows } = laidOut([['x'.repeat(9_000), 0], ['a\u202Eb\u0000\nc', 1]]);
    expect([rows[0]?.[0]?.length, rows[1]?.[0]]).toEqual([80, 'a b c']);
  });

  it('of a long list ends, and says how much is left', () => {
    const { rows, more } = laidOut(Array.from({ length: 1_000 }, (_, n) => ['x', n]));
    expect([rows.length, more]).toEqual([PICTURE_ROWS_MAX, 1_000 - PICTURE_ROWS_MAX]);
  });
});
