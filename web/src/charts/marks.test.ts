import { describe, expect, it } from 'vitest';
import { bursts, groupMarks, restarts, type Mark } from './marks';
import { placeOf } from './place';
import type { Table } from './table';

function uptimes(step_ms: number, seconds: (number | null)[]): Table {
  const t_ms = seconds.map((_, index) => index * 60_000);
  return { tier: 'raw', step_ms, t_ms, series: new Map([['uptime_s', { avg: seconds, min: seconds, max: seconds }]]), gaps: [], late: [] };
}

describe('a restart', () => {
  it('is where an uptime begins anew, told to the second by the first reading after it', () => {
    expect(restarts(uptimes(0, [100, 160, 20, 80]), 'uptime_s')).toEqual([2 * 60_000 - 20_000]);
  });

  it('is told by its step where points stand for many readings', () => {
    expect(restarts(uptimes(60_000, [100, null, 20, 80]), 'uptime_s')).toEqual([120_000]);
  });

  it('is not a clock that was set back a little', () => expect(restarts(uptimes(0, [100, 97, 160]), 'uptime_s')).toEqual([]));

  it('is not known of a device that tells no uptime', () => expect(restarts(uptimes(0, [1, 2]), 'gateway_uptime_s')).toEqual([]));
});

describe('a burst of errors', () => {
  const found = (counts: number[]): string =>
    bursts({ from_ms: 1_000, step_ms: 10, counts })
      .map(({ from_ms, to_ms, errors }) => `${from_ms}-${to_ms}: ${errors}`)
      .join(', ');

  it.each([
    [[0, 0, 0, 0, 12, 0, 0, 0], '1040-1050: 12'],
    [[0, 0, 0, 0, 0, 0, 0, 30, 40, 0, 0, 0], '1070-1090: 70'],
    [[0, 0, 9, 0, 0, 0, 0, 0], ''],
    [[20, 21, 19, 20, 22, 20], ''],
    [[], ''],
  ])('%j: %s', (counts, expected) => expect(found(counts)).toBe(expected));
});

describe('marks below a chart', () => {
  const mark = (t_ms: number, kind: string): Mark => ({ key: `${kind} ${t_ms}`, t_ms, kind, text: kind });
  const span = { from_ms: 0, to_ms: 1_000 };
  const shown = (...marks: Mark[]): string =>
    groupMarks(marks, span, placeOf(span, 1_078))
      .map((group) => `${group.x} ${group.kind} ${group.marks.length}`)
      .join(', ');

  it('are where the time axis has them, in order of time', () => {
    expect(shown(mark(900, 'online'), mark(500, 'offline'))).toBe('564 offline 1, 964 online 1');
  });

  it('that would cover each other are one, of the worst kind', () => {
    expect(shown(mark(100, 'online'), mark(110, 'offline'), mark(114, 'version_change'), mark(130, 'online'))).toBe('164 offline 3, 194 online 1');
  });

  it('outside the range are left out', () => expect(shown(mark(-1, 'online'), mark(1_001, 'offline'))).toBe(''));
});
