import { describe, expect, it } from 'vitest';
import type { Line } from './lines';
import { loneIndices, timeOption, valueAxis, withBreaks, type Drawing } from './option';
import type { Palette } from './palette';

const palette: Palette = {
  'chart-1': 'rgb(1, 1, 1)',
  'chart-2': 'rgb(2, 2, 2)',
  'chart-3': 'rgb(3, 3, 3)',
  'chart-4': 'rgb(4, 4, 4)',
  'chart-5': 'rgb(5, 5, 5)',
  'chart-6': 'rgb(6, 6, 6)',
  'chart-7': 'rgb(11, 11, 11)',
  'chart-8': 'rgb(12, 12, 12)',
  'chart-rest': 'rgb(13, 13, 13)',
  'chart-grid': 'rgb(7, 7, 7)',
  'chart-label': 'rgb(8, 8, 8)',
  text: 'rgb(9, 9, 9)',
  surface: 'rgb(10, 10, 10)',
  font: 'sans-serif',
};

function line(avg: (number | null)[], min = avg, max = avg, faint = false): Line {
  return { id: 'cpu', name: { kind: 'own', name: '<b>' }, colour: 'chart-1', columns: { avg, min, max }, faint };
}

function drawing(change: Partial<Drawing>): Drawing {
  return {
    t_ms: [0, 10, 20, 30],
    step_ms: 0,
    break_ms: 15,
    lines: [],
    bars: false,
    scale: { unit: 'number', max: null },
    span: { from_ms: 0, to_ms: 30 },
    gaps: [],
    width_px: 600,
    tick: String,
    time: String,
    ...change,
  };
}

interface DrawnSeries {
  id: string;
  data: [number, number | null][];
  stack?: string;
}

function series(option: ReturnType<typeof timeOption>): DrawnSeries[] {
  return option.series as unknown as DrawnSeries[];
}

describe('points', () => {
  const points = (change: Partial<Drawing>, column: (number | null)[]): string =>
    withBreaks({ ...drawing(change), dot_ms: 2 }, column)
      .map(([t_ms, value]) => `${t_ms}:${value}`)
      .join(' ');

  it('that are near are joined over a row without the metric', () => {
    expect(points({ break_ms: 25 }, [1, null, 3, 4])).toBe('0:1 20:3 30:4');
  });

  it('that are far apart are not', () => expect(points({}, [1, null, 3, 4])).toBe('-1:1 1:1 1:null 20:3 30:4'));

  it('are not joined over a gap, however short', () => {
    expect(points({ gaps: [{ from_ms: 11, to_ms: 13, cause: 'server_down' }] }, [1, 2, 3, 4])).toBe('0:1 10:2 11:null 20:3 30:4');
  });

  it('out of the span are left out, but for the neighbours', () => {
    expect(points({ span: { from_ms: 26, to_ms: 40 } }, [1, 2, 3, 4])).toBe('20:3 30:4');
  });
});

describe('a single reading', () => {
  const points = (column: (number | null)[]): string =>
    withBreaks({ ...drawing({ break_ms: 5 }), dot_ms: 2 }, column)
      .map(([t_ms, value]) => `${t_ms}:${value}`)
      .join(' ');

  it('is a short line, so that it is seen', () => expect(points([null, 7, null, null])).toBe('9:7 11:7'));
  it('is a dot on top of that, a longer line is not', () => {
    const lone = (...values: (number | null)[]): number[] => [...loneIndices(values.map((value, index) => [index, value]))];
    expect(lone(7, 7, null, 1, 2, 3)).toEqual([0, 1]);
    expect(lone(1, 2, 3, null, 9)).toEqual([4]);
    expect(lone()).toEqual([]);
  });
  it('beside others too', () => expect(points([1, null, 3, null])).toBe('-1:1 1:1 1:null 19:3 21:3'));
});

describe('a chart', () => {
  it('has a band where points stand for many readings', () => {
    const drawn = series(timeOption(drawing({ step_ms: 10, lines: [line([2, 2, 2, 2], [1, 1, 1, 1], [5, 5, 5, 5])] }), palette));
    expect(drawn.map((one) => one.id)).toEqual(['cpu min', 'cpu max', 'cpu']);
    expect(drawn[0]?.data[0]).toEqual([0, 1]);
    // Stacked on the minimum: the height of the band.
    expect(drawn[1]?.data[0]).toEqual([0, 4]);
    expect(drawn[0]?.stack).toBe(drawn[1]?.stack);
  });

  it('has no band for single readings and for faint lines', () => {
    expect(series(timeOption(drawing({ lines: [line([1, 2, 3, 4])] }), palette))).toHaveLength(1);
    expect(series(timeOption(drawing({ step_ms: 10, lines: [line([1, 2, 3, 4], undefined, undefined, true)] }), palette))).toHaveLength(1);
  });

  it('hands ECharts functions, never templates, and no tooltip of its own', () => {
    const text = JSON.stringify(timeOption(drawing({ lines: [line([1, 2, 3, 4])] }), palette), (key, value: unknown) =>
      key === 'formatter' ? typeof value : value,
    );
    expect(text.match(/"formatter":"(\w+)"/g)).toEqual(['"formatter":"function"', '"formatter":"function"']);
    expect(text).not.toContain('tooltip');
    expect(text).not.toContain('<b>');
  });
});

describe('the y axis', () => {
  const axis = (unit: 'percent' | 'bytes' | 'rate' | 'number', highest: number, max: number | null = null): string => {
    const { top, step } = valueAxis(drawing({ scale: { unit, max }, lines: [line([0, highest, null, 0])] }));
    return `${step} to ${top}`;
  };

  it.each([
    ['percent', 3, null, '25 to 100'],
    ['number', 0, null, '0.25 to 1'],
    ['number', 2.3, null, '1 to 3'],
    ['number', 8, null, '2 to 8'],
    ['rate', 0, null, '250 to 1000'],
    ['rate', 7_200_000, null, '2000000 to 8000000'],
    ['bytes', 3, 8_200_000_000, '2500000000 to 8200000000'],
  ] as const)('%s up to %s with top %s: %s', (unit, highest, max, expected) => expect(axis(unit, highest, max)).toBe(expected));
});
