import { describe, expect, it } from 'vitest';
import { formOf, newLine, readPrices } from './price-form';

describe('the price table', () => {
  const prices = { prices: [{ provider: 'deepseek', model: '*', from: '2026-01-01', input: 0.28, output: 0.42, cache_read: 0.028, cache_write: 0 }], default: null };

  it('comes back as it was', () => {
    const { table, faults } = readPrices(formOf(prices));
    expect(table).toEqual(prices);
    expect([...faults]).toEqual([]);
  });

  it('takes nothing as free, and a comma as the point', () => {
    const line = { ...newLine('a', 'b', '2026-01-01'), input: '0,28', output: '' };
    expect(readPrices({ lines: [line], rest: null }).table.prices[0]).toMatchObject({ input: 0.28, output: 0 });
  });

  it.each(['-1', '1e3', 'two', '1000001', '1.2.3'])('does not take %s', (text) => {
    const line = { ...newLine('a', 'b', '2026-01-01'), input: text };
    expect([...readPrices({ lines: [line], rest: null }).faults]).toEqual([`${line.id} input`]);
  });

  it('names each fault by its place', () => {
    const line = newLine(' ', '', 'soon');
    const faults = readPrices({ lines: [line], rest: { input: 'x', output: '', cache_read: '', cache_write: '' } }).faults;
    expect([...faults]).toEqual([`${line.id} provider`, `${line.id} model`, `${line.id} from`, 'rest input']);
  });

  it('does not take the same model twice for one day', () => {
    const lines = [newLine('a', 'b', '2026-01-01'), newLine('A', 'b ', '2026-01-01')];
    expect([...readPrices({ lines, rest: null }).faults]).toEqual([`${lines[1]?.id} from`]);
  });
});
