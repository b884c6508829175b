import { expect, it } from 'vitest';
import { csv } from './csv';
import { listData, type ListColumn } from './list-table';

interface Row {
  name: string;
  used: number | null;
}

const COLUMNS: ListColumn<Row>[] = [
  { key: 'name', title: 'Name', value: ({ name }) => name },
  { key: 'used', title: 'Used', right: true, value: ({ used }) => used, text: ({ used }) => (used === null ? 'never' : `${used} times`) },
  { key: 'id', title: 'Number', value: () => 7, fileOnly: true },
  { key: 'buttons', title: 'Delete', quiet: true },
];
const table = listData('users', 'Users', COLUMNS, [{ name: '=1+1', used: null }, { name: '', used: 3 }]);

it('a file has a column for each that has a value, named as the API does', () => {
  expect(csv(table.head, table.rows)).toBe("\uFEFFname,used,id\r\n'=1+1,,7\r\n,3,7\r\n");
});

it('a picture has the words of the page, and no more columns than it needs', () => {
  expect(table.picture.columns).toEqual([{ title: 'Name', right: false }, { title: 'Used', right: true }]);
  expect([0, 1].map(table.picture.row)).toEqual([['=1+1', 'never'], ['–', '3 times']]);
});
