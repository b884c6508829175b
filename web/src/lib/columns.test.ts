import { describe, expect, it } from 'vitest';
import { COLUMNS, COLUMNS_DEFAULT, columnsFit, columnsFrom, gridTemplate } from './columns';

describe('columns', () => {
  it('in the address bar are those that exist, in our order', () => {
    expect(columnsFrom('seen,cpu,<b>,state')).toEqual(['state', 'cpu', 'seen']);
    expect(columnsFrom('nothing')).toBeNull();
    expect(columnsFrom(['cpu'])).toBeNull();
  });

  it('all fit on a wide screen', () => expect(columnsFit(COLUMNS, 3_840)).toEqual([...COLUMNS]));

  it('leave from the least important when it gets narrow', () => {
    expect(columnsFit(COLUMNS_DEFAULT, 1_100)).toEqual(['state', 'availability', 'cpu', 'memory', 'disk', 'network', 'tokens', 'seen']);
    expect(columnsFit(COLUMNS_DEFAULT, 760)).toEqual(['state', 'cpu', 'memory', 'disk', 'seen']);
    expect(columnsFit(COLUMNS_DEFAULT, 0)).toEqual(['state']);
  });

  it('become tracks of a grid, the name first', () => {
    expect(gridTemplate(['cpu', 'seen'])).toBe('minmax(150px, 2fr) minmax(136px, 1.2fr) 76px');
  });
});
