import { expect, it } from 'vitest';
import { csv } from './csv';
import { listData, type ListColumn } from './list-table';

interface Row {
  name: string;
  used: number | null;
}

const COLUMNS: ListColumn<Row>[] = [
  { key: 'name', title: 'Name', value: ({ name }) => name },
  { key: 'used', title: 'Used', right: true, value: ({ used }) => used },
  { key: 'buttons', title: 'Delete', quiet: true },
];

it('a file has a column for each that has a value, named as the API does', () => {
  const table = listData('users', 'Users', COLUMNS, [{ name: '=1+1', used: null }, { name: 'a', used: 3 }]);
  expect(table).toEqual({ file: 'users', title: 'Users', head: ['name', 'used'], rows: [['=1+1', null], ['a', 3]] });
  expect(csv(table.head, table.rows)).toBe("\uFEFFname,used\r\n'=1+1,\r\na,3\r\n");
});
