/** What a chart shows as CSV: a column for each line, its lowest and highest where a point stands for many. Pure. */

import { csv, csvTime } from '../lib/csv';
import type { Picture } from './lines';
import type { Span, Table } from './table';

export function tableCsv(table: Table, { lines, bars = false }: Picture, span: Span): string {
  const banded = table.step_ms > 0 && !bars;
  const head = ['time', ...lines.flatMap((line) => (banded ? [`${line.id} avg`, `${line.id} min`, `${line.id} max`] : [line.id]))];
  const rows = [];
  for (const [index, t_ms] of table.t_ms.entries()) {
    if (t_ms < span.from_ms || t_ms > span.to_ms) continue;
    const cells = lines.flatMap(({ columns }) => (banded ? [columns.avg[index], columns.min[index], columns.max[index]] : [columns.avg[index]]));
    // A bar is named by its beginning; its point is its middle.
    if (cells.some((cell) => cell !== null && cell !== undefined)) rows.push([csvTime(bars ? t_ms - table.step_ms / 2 : t_ms), ...cells]);
  }
  return csv(head, rows);
}
