/** The price table while somebody types in it: text, until it is looked at. Pure. */

import type { Price, Prices } from '../api/model';

export const PARTS = ['input', 'output', 'cache_read', 'cache_write'] as const;
export type Part = (typeof PARTS)[number];
export type PriceText = Record<Part, string>;

export interface PriceLine extends PriceText {
  /** Only for the page: lines have no name of their own. */
  id: number;
  provider: string;
  model: string;
  from: string;
}

export interface PriceForm {
  lines: PriceLine[];
  /** For what no line matches; null: unknown. */
  rest: PriceText | null;
}

/** US dollars per million tokens. */
const USD_MAX = 1_000_000;

let lastId = 0;
export function newLine(provider: string, model: string, from: string): PriceLine {
  lastId += 1;
  return { id: lastId, provider, model, from, input: '', output: '', cache_read: '', cache_write: '' };
}

export const NO_PRICES: PriceText = { input: '', output: '', cache_read: '', cache_write: '' };

export function formOf(prices: Pick<Prices, 'prices' | 'default'>): PriceForm {
  const lines = prices.prices.map((price) => ({ ...newLine(price.provider, price.model, price.from), ...textOf(price) }));
  return { lines, rest: prices.default === null ? null : textOf(prices.default) };
}

function textOf(prices: Record<Part, number>): PriceText {
  return { input: String(prices.input), output: String(prices.output), cache_read: String(prices.cache_read), cache_write: String(prices.cache_write) };
}

/** Where something is wrong: `3 input` is the price of the line with id 3, `rest input` that of the rest. */
export type PriceFaults = ReadonlySet<string>;

export function readPrices(form: PriceForm): { table: Pick<Prices, 'prices' | 'default'>; faults: PriceFaults } {
  const faults = new Set<string>();
  const read = (text: PriceText, place: string): Record<Part, number> => {
    const values = { input: 0, output: 0, cache_read: 0, cache_write: 0 };
    for (const part of PARTS) {
      const value = priceOf(text[part]);
      if (value === null) faults.add(`${place} ${part}`);
      else values[part] = value;
    }
    return values;
  };
  const seen = new Set<string>();
  const prices = form.lines.map((line): Price => {
    const place = String(line.id);
    if (line.provider.trim() === '') faults.add(`${place} provider`);
    if (line.model.trim() === '') faults.add(`${place} model`);
    const same = `${line.provider.trim().toLowerCase()}\n${line.model.trim().toLowerCase()}\n${line.from}`;
    if (!/^\d{4}-\d{2}-\d{2}$/.test(line.from) || seen.has(same)) faults.add(`${place} from`);
    seen.add(same);
    return { provider: line.provider.trim(), model: line.model.trim(), from: line.from, ...read(line, place) };
  });
  return { table: { prices, default: form.rest === null ? null : read(form.rest, 'rest') }, faults };
}

/** Empty is free: local models cost nothing. A comma is how half the world writes the point. */
function priceOf(text: string): number | null {
  const plain = text.trim().replace(',', '.');
  if (plain === '') return 0;
  const value = /^\d+(\.\d+)?$/.test(plain) ? Number(plain) : NaN;
  return value >= 0 && value <= USD_MAX ? value : null;
}
