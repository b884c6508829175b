/** What a chart says in words: names of lines, causes of gaps, the values at the crosshair. */

import { figureText } from '../../charts/figures';
import type { Line, Picture } from '../../charts/lines';
import { extent, valueNear, type Gap, type Span, type Table } from '../../charts/table';
import { t, type TextKey } from '../../i18n';
import { moment, rangeText, type Language } from '../../lib/format';
import type { ReadoutRow } from './ChartReadout.vue';

const GAP_TEXT: Record<string, TextKey> = {
  device_offline: 'chart.gap_device_offline',
  server_down: 'chart.gap_server_down',
  damaged: 'chart.gap_damaged',
  filled_in: 'chart.gap_filled',
};

export function gapText(gap: Gap): string {
  return t(GAP_TEXT[gap.cause] ?? 'chart.gap_other');
}

/** The first of these that a moment lies in. */
export function gapAt(gaps: readonly Gap[], t_ms: number): Gap | null {
  return gaps.find((gap) => gap.from_ms <= t_ms && t_ms < gap.to_ms) ?? null;
}

export function lineName({ name }: Line): string {
  if (name.kind === 'text') return t(name.key);
  return name.kind === 'core' ? t('chart.core', { n: name.core }) : name.name;
}

/** The newest value of a line; of bars the sum of all. */
export function wholeText(table: Table, picture: Picture, line: Line, span: Span): string {
  const { last, sum } = extent(table.t_ms, line.columns, span);
  return figureText(picture.scale.unit, picture.bars ? sum : last);
}

/** A chart in a sentence, for whoever does not see it. */
export function chartSummary(title: string, table: Table, picture: Picture, span: Span): string {
  const lines = picture.lines.filter((line) => !line.faint);
  const figure = (value: number | null): string => figureText(picture.scale.unit, value);
  const parts = lines.map((line) => {
    if (picture.bars) return `${lineName(line)} ${wholeText(table, picture, line, span)}`;
    const { last, min, max } = extent(table.t_ms, line.columns, span);
    return t('chart.part', { name: lineName(line), last: figure(last), min: figure(min), max: figure(max) });
  });
  return t('chart.summary', { title, parts: parts.length === 0 ? t('chart.no_data') : parts.join('; ') });
}

/** The moment a row stands for; of a bar its two ends. */
export function rowTime(table: Table, picture: Picture, row: number, language: Language): string {
  const at = table.t_ms[row] ?? 0;
  if (!picture.bars) return moment(at, language);
  return rangeText({ from_ms: at - table.step_ms / 2, to_ms: at + table.step_ms / 2 }, 0, language);
}

export function readoutRows(table: Table, picture: Picture, row: number, reach_ms: number): ReadoutRow[] {
  // The drawing order has the cores first; people want the total first.
  const lines = [...picture.lines.filter((line) => !line.faint), ...picture.lines.filter((line) => line.faint)];
  return lines.map((line) => ({
    id: line.id,
    name: lineName(line),
    colour: line.colour,
    value: figureText(picture.scale.unit, valueNear(table, line.columns.avg, row, reach_ms)),
    band: bandText(table, picture, line, row),
  }));
}

function bandText(table: Table, picture: Picture, line: Line, row: number): string | null {
  const min = line.columns.min[row] ?? null;
  const max = line.columns.max[row] ?? null;
  if (table.step_ms === 0 || picture.bars || line.faint || min === null || max === null || min === max) return null;
  return t('chart.min_max', { min: figureText(picture.scale.unit, min), max: figureText(picture.scale.unit, max) });
}
