import { describe, expect, it } from 'vitest';
import type { Gap, QueryAnswer } from '../api/model';
import { STRIP_CELLS, STRIP_MS, runsOf, stripOf } from './strip';

const HALF_HOUR = STRIP_MS / STRIP_CELLS;
const TO = 100 * STRIP_MS;
const FROM = TO - STRIP_MS;

function answer(seen: (cell: number) => boolean, gaps: Omit<Gap, 'device'>[] = []): QueryAnswer {
  const t_ms = Array.from({ length: STRIP_CELLS }, (_, cell) => FROM + cell * HALF_HOUR);
  const avg = t_ms.map((_, cell) => (seen(cell) ? 1 : null));
  const series = [{ device: 1, metric: 'cpu_percent', avg, min: null, max: null }];
  return { tier: '5m', step_ms: HALF_HOUR, from_ms: FROM, to_ms: TO, t_ms, series, gaps: gaps.map((gap) => ({ device: 1, ...gap })) };
}

function text(strip: ReturnType<typeof stripOf>): string {
  return runsOf(strip.cells)
    .map(([cell, , length]) => `${cell} ${length}`)
    .join(', ');
}

describe('the strip of a day', () => {
  it('of a device that reported all day is one piece', () => {
    const strip = stripOf(answer(() => true), 1, TO);
    expect(text(strip)).toBe('up 48');
    expect(strip.up_percent).toBe(100);
  });

  it('of a new device begins where it was added', () => {
    expect(text(stripOf(answer((cell) => cell >= 40), 1, TO))).toBe('none 40, up 8');
  });

  it('shows an outage, and a cell that is partly away', () => {
    const gap = { from_ms: FROM + 10 * HALF_HOUR, to_ms: FROM + 12.5 * HALF_HOUR, cause: 'device_offline' };
    const strip = stripOf(answer((cell) => cell < 10 || cell >= 12, [gap]), 1, TO);
    expect(text(strip)).toBe('up 10, down 2, part 1, up 35');
    expect(strip.down_ms).toBe(2.5 * HALF_HOUR);
    expect(strip.up_percent).toBeCloseTo(94.8, 1);
  });

  it('blames the server for its own silence', () => {
    const gap = { from_ms: FROM, to_ms: FROM + 2 * HALF_HOUR, cause: 'server_down' };
    expect(text(stripOf(answer((cell) => cell >= 2, [gap]), 1, TO))).toBe('server 2, up 46');
  });

  it('of a device nothing is known of has no share', () => {
    expect(stripOf(answer(() => false), 1, TO).up_percent).toBeNull();
    expect(stripOf(answer(() => true), 2, TO).up_percent).toBeNull();
  });

  it('has no holes where the steps of the answer are wider than a cell', () => {
    const step_ms = 35 * 60_000;
    const t_ms = Array.from({ length: 42 }, (_, step) => FROM + step * step_ms);
    const wide = { ...answer(() => true), step_ms, t_ms, series: [{ device: 1, metric: 'cpu_percent', avg: t_ms.map(() => 1), min: null, max: null }] };
    expect(text(stripOf(wide, 1, TO))).toBe('up 48');
  });

  it('forgives a restart', () => {
    const gap = { from_ms: FROM, to_ms: FROM + HALF_HOUR / 20, cause: 'device_offline' };
    expect(text(stripOf(answer(() => true, [gap]), 1, TO))).toBe('up 48');
  });
});
