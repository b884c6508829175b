import { describe, expect, it } from 'vitest';
import { tokenSteps, tokensPicture, tokensTable } from './tokens';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const midnight = new Date(2026, 5, 10).getTime();

describe('bars of tokens', () => {
  it.each([
    ['an hour', HOUR, HOUR / 4],
    ['a day', DAY, HOUR / 4],
    ['a week', 7 * DAY, 2 * HOUR],
    ['a month', 30 * DAY, 12 * HOUR],
    ['ninety days', 90 * DAY, DAY],
    ['a year', 365 * DAY, 7 * DAY],
  ])('of %s are long enough to be told apart', (_, length_ms, step_ms) => {
    expect(tokenSteps({ from_ms: midnight, to_ms: midnight + length_ms }).step_ms).toBe(step_ms);
  });

  it('begin at a round time and cover the range', () => {
    const asked = tokenSteps({ from_ms: midnight + 5.2 * HOUR, to_ms: midnight + 7 * DAY });
    expect([asked.from_ms - midnight, asked.step_ms]).toEqual([4 * HOUR, 2 * HOUR]);
    expect(asked.to_ms).toBeGreaterThanOrEqual(midnight + 7 * DAY);
    expect((asked.to_ms - asked.from_ms) % asked.step_ms).toBe(0);
  });

  it('of ten years stay below what the server counts', () => {
    const { from_ms, to_ms, step_ms } = tokenSteps({ from_ms: midnight - 3_650 * DAY, to_ms: midnight });
    expect((to_ms - from_ms) / step_ms).toBeLessThan(100);
    expect(step_ms % DAY).toBe(0);
  });

  it('have their point in the middle, and a line for each kind', () => {
    const table = tokensTable({ from_ms: 1_000, step_ms: 10, messages: [1, 1], input: [5, 0], output: [2, 0], cache_read: [0, 1], cache_write: [0, 0], cost_usd: [0.1, 0] });
    expect(table.t_ms).toEqual([1_005, 1_015]);
    expect(tokensPicture(table).lines.map((line) => `${line.id} ${line.columns.avg.join(',')}`)).toEqual(['input 5,0', 'output 2,0', 'cache_read 0,1', 'cache_write 0,0']);
  });
});
