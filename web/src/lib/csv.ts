/** Tables as CSV (RFC 4180), safe to open in a spreadsheet. Pure. */

import { iso } from './format';

export type CsvValue = string | number | null | undefined;

/** The byte order mark tells spreadsheets that it is UTF-8; lines end as the RFC says. */
export function csv(head: readonly string[], rows: readonly (readonly CsvValue[])[]): string {
  return `\uFEFF${[head, ...rows].map((row) => row.map(cell).join(',')).join('\r\n')}\r\n`;
}

function cell(value: CsvValue): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : '';
  // A spreadsheet runs what begins like a formula; a log line or a name must stay text.
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** `2026-03-12T14:02:11.000Z`. A time no calendar has stays a number. */
export function csvTime(t_ms: number | null): string {
  return t_ms === null ? '' : (iso(t_ms) ?? String(t_ms));
}
