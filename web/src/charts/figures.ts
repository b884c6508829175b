/** Values of a chart as text: in the readout and at the ticks of its axis. */

import { NO_FIGURE, bytes, compact, percent, rate } from '../lib/format';
import type { Scale } from './lines';

export function figureText(unit: Scale['unit'], value: number | null): string {
  if (value === null) return NO_FIGURE;
  switch (unit) {
    case 'percent':
      return `${percent(value)} %`;
    case 'bytes':
      return bytes(value);
    case 'rate':
      return rate(value);
    case 'celsius':
      return `${value.toFixed(0)} °C`;
    case 'count':
      return compact(value);
    case 'number':
      return Math.abs(value) < 1_000 ? value.toFixed(2) : compact(value);
  }
}

/** Ticks are round numbers and need no decimals: `5 MB`, not `5.00 MB`. */
export function tickText(unit: Scale['unit'], value: number): string {
  if (unit === 'percent') return `${value} %`;
  if (unit === 'celsius') return `${value} °C`;
  if (unit === 'number' || unit === 'count') return Math.abs(value) < 1_000 ? String(Number(value.toFixed(2))) : tickCompact(value);
  if (value === 0) return '0';
  const [amount = '', name = ''] = bytes(value).split(' ');
  return `${Number(amount)} ${name}${unit === 'rate' ? '/s' : ''}`;
}

/** `5 M`, not `5.00 M`. */
export function tickCompact(value: number): string {
  const [amount = '', name] = compact(value).split(' ');
  return [String(Number(amount)), name].filter(Boolean).join(' ');
}
