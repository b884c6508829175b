/** From lines to what ECharts draws. Pure; gaps, crosshair and readout are drawn by the page over the canvas. */

import type { ChartOption } from './echarts';
import type { Line, Scale } from './lines';
import type { Palette } from './palette';
import type { Column, Gap, Span } from './table';
import { timeTicks } from './ticks';

/** Space around the plot in pixels. Fixed, so that all charts of a page share their time axis. */
export const PLOT = { left: 64, right: 14, top: 10, bottom: 24 } as const;

/** A tick of the time axis takes about this much. */
const TICK_PX = 92;

/** A single reading is this long. */
const DOT_PX = 3;
/** Of a line of so few points each is a dot of this size: a short line between holes would be overlooked. */
const LONE_POINTS_MAX = 2;
const LONE_PX = 5;

export interface Drawing {
  t_ms: readonly number[];
  /** 0: points are single readings and have no band. */
  step_ms: number;
  /** Points further apart are not joined. */
  break_ms: number;
  lines: readonly Line[];
  /** Sums of a step, stacked; each is drawn around its point. */
  bars: boolean;
  scale: Scale;
  span: Span;
  gaps: readonly Gap[];
  width_px: number;
  tick: (value: number) => string;
  time: (t_ms: number) => string;
}

type Point = [t_ms: number, value: number | null];
type Series = Exclude<NonNullable<ChartOption['series']>, readonly unknown[]>;
type LineSeries = Extract<Series, { type?: 'line' }>;
type BarSeries = Extract<Series, { type?: 'bar' }>;

export function timeOption(drawing: Drawing, palette: Palette): ChartOption {
  const { lines, span } = drawing;
  const axis = valueAxis(drawing);
  const label = { color: palette['chart-label'], fontFamily: palette.font, fontSize: 11 };
  return {
    animation: false,
    grid: { ...PLOT, outerBoundsMode: 'none' },
    xAxis: {
      type: 'time',
      min: span.from_ms,
      max: span.to_ms,
      // Bars at the edges are cut: all charts keep one axis.
      containShape: false,
      axisLine: { lineStyle: { color: palette['chart-grid'] } },
      axisTick: { show: false },
      axisLabel: { ...label, hideOverlap: true, customValues: timeTicks(span, Math.max(2, Math.floor(drawing.width_px / TICK_PX))), formatter: (value: number) => drawing.time(value) },
      splitLine: { show: false },
    },
    yAxis: {
      type: 'value',
      min: 0,
      max: axis.top,
      interval: axis.step,
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: { ...label, showMaxLabel: axis.top % axis.step === 0, formatter: (value: number) => drawing.tick(value) },
      splitLine: { lineStyle: { color: palette['chart-grid'] } },
    },
    series: drawing.bars ? lines.map((line) => barSeries(line, drawing, palette)) : lines.flatMap((line) => lineSeries(line, drawing, palette)),
  };
}

/** Ends of the y axis: the scale's own top, or the first round number above every point that is shown. */
export function valueAxis(drawing: Pick<Drawing, 'lines' | 'bars' | 'scale' | 'span' | 't_ms'>): { top: number; step: number } {
  const { scale } = drawing;
  if (scale.unit === 'percent') return { top: 100, step: 25 };
  if (scale.max !== null && scale.max > 0) return { top: scale.max, step: roundStep(scale.max) };
  // A line at zero still needs a scale above it.
  let highest = scale.unit === 'rate' ? 1_000 : 1;
  for (const [index, at] of drawing.t_ms.entries()) {
    if (at < drawing.span.from_ms || at > drawing.span.to_ms) continue;
    let sum = 0;
    for (const { columns } of drawing.lines) {
      const value = columns.max[index] ?? 0;
      sum += value;
      if (!drawing.bars && value > highest) highest = value;
    }
    if (drawing.bars && sum > highest) highest = sum;
  }
  const step = roundStep(highest);
  return { top: step * Math.ceil(highest / step), step };
}

/** 1, 2, 2.5 or 5 times a power of ten, so that at most four steps reach `top`. */
function roundStep(top: number): number {
  const power = 10 ** Math.floor(Math.log10(top / 4));
  return ([1, 2, 2.5, 5, 10].find((factor) => factor * power * 4 >= top * (1 - 1e-9)) ?? 10) * power;
}

/** Of a bar's place so much is the bar; the rest keeps neighbours apart. */
const BAR_SHARE = 0.78;

function barSeries(line: Line, drawing: Drawing, palette: Palette): BarSeries {
  const step_px = (drawing.step_ms / (drawing.span.to_ms - drawing.span.from_ms)) * drawing.width_px;
  return {
    type: 'bar',
    id: line.id,
    stack: 'bars',
    silent: true,
    barWidth: Math.max(1, step_px * BAR_SHARE),
    data: drawing.t_ms.map((at, index) => [at, line.columns.avg[index] ?? 0]),
    itemStyle: { color: palette[line.colour] },
  };
}

function lineSeries(line: Line, drawing: Drawing, palette: Palette): LineSeries[] {
  const colour = palette[line.colour];
  const common = { type: 'line', silent: true, showSymbol: false, animation: false } as const;
  const dot_ms = ((drawing.span.to_ms - drawing.span.from_ms) / Math.max(1, drawing.width_px)) * DOT_PX;
  const points = (column: Column): Point[] => withBreaks({ ...drawing, dot_ms }, column);
  const data = points(line.columns.avg);
  const lone = loneIndices(data);
  const mean: LineSeries = {
    ...common,
    id: line.id,
    data,
    showSymbol: lone.size > 0,
    symbol: (_, { dataIndex }) => (lone.has(dataIndex) ? 'circle' : 'none'),
    symbolSize: line.faint ? LONE_PX / 2 : LONE_PX,
    lineStyle: { color: colour, width: line.faint ? 1 : 1.6, opacity: line.faint ? 0.38 : 1, join: 'round', cap: 'round' },
    itemStyle: { color: colour },
    z: line.faint ? 2 : 3,
  };
  if (line.faint || drawing.step_ms === 0) return [mean];
  // The band is two stacked lines: an invisible one at the minimum, and on it the filled difference.
  const stack = `band ${line.id}`;
  const height = line.columns.max.map((max, index) => {
    const min = line.columns.min[index] ?? null;
    return max === null || min === null ? null : max - min;
  });
  const edge = { ...common, stack, lineStyle: { opacity: 0 }, itemStyle: { color: colour }, z: 1 } as const;
  return [
    { ...edge, id: `${line.id} min`, data: points(line.columns.min) },
    // Its upper edge is drawn too: a single second in a year is a spike of a pixel's width.
    { ...edge, id: `${line.id} max`, data: points(height), lineStyle: { color: colour, width: 1, opacity: 0.75 }, areaStyle: { color: colour, opacity: 0.2 } },
    mean,
  ];
}

/** Where a line is so short that it needs dots to be seen. */
export function loneIndices(points: readonly Point[]): ReadonlySet<number> {
  const lone = new Set<number>();
  let start = 0;
  for (let index = 0; index <= points.length; index += 1) {
    const [, value = null] = points[index] ?? [];
    if (value !== null) continue;
    if (index - start <= LONE_POINTS_MAX) for (let at = start; at < index; at += 1) lone.add(at);
    start = index + 1;
  }
  return lone;
}

/** Points within the span (and one on each side), with a hole where nothing was stored. */
export function withBreaks(drawing: Pick<Drawing, 't_ms' | 'break_ms' | 'span' | 'gaps'> & { dot_ms: number }, column: Column): Point[] {
  const { t_ms, break_ms, span } = drawing;
  const points: Point[] = [];
  let before: number | null = null;
  /** Points since the last hole. */
  let run = 0;
  for (const [index, at] of t_ms.entries()) {
    const value = column[index] ?? null;
    // A row without this metric is no hole: devices report some figures less often.
    if (value === null || at > span.to_ms + break_ms || at < span.from_ms - break_ms) continue;
    if (before !== null && (at - before > break_ms || crosses(drawing.gaps, before, at))) {
      if (run === 1) widen(points, drawing.dot_ms);
      points.push([before + 1, null]);
      run = 0;
    }
    points.push([at, value]);
    run += 1;
    before = at;
  }
  if (run === 1) widen(points, drawing.dot_ms);
  return points;
}

/** A point with no neighbour would be a line of no length: it becomes a short one, so that it is seen. */
function widen(points: Point[], dot_ms: number): void {
  const [at, value] = points.pop() ?? [0, null];
  points.push([at - dot_ms / 2, value], [at + dot_ms / 2, value]);
}

/** Whether a stretch without figures lies between two points. */
function crosses(gaps: readonly Gap[], before: number, after: number): boolean {
  return gaps.some((gap) => gap.from_ms >= before && gap.to_ms <= after);
}
