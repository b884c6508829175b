import { describe, expect, it } from 'vitest';
import { AROUND_PX, WHOLE_ROWS_MAX, rowsInSight } from './window';

describe('rows in sight', () => {
  const at = (top_px: number, count = 1000): string => {
    const { start, end } = rowsInSight(count, top_px, 900, 60);
    return `${start}..${end}`;
  };

  it('are all of a short list', () => expect(at(-99_999, WHOLE_ROWS_MAX)).toBe(`0..${WHOLE_ROWS_MAX}`));

  it('are those in the window and some around it', () => {
    expect(at(300)).toBe('0..17');
    expect(at(-6_000)).toBe(`${Math.floor(100 - AROUND_PX / 60)}..${Math.ceil(115 + AROUND_PX / 60)}`);
  });

  it('end where the list ends', () => {
    expect(at(-60_000)).toBe('993..1000');
    expect(at(-999_999)).toBe('1000..1000');
    expect(at(99_999)).toBe('0..0');
  });

  it('are the first ones before anything was measured', () => {
    expect(rowsInSight(1000, 0, 900, 0)).toEqual({ start: 0, end: WHOLE_ROWS_MAX });
  });
});
