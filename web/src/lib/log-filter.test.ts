import { describe, expect, it } from 'vitest';
import { decode } from './decode';
import { logPage } from '../api/model';
import { logFilterFrom, logParameters, passes } from './log-filter';

const [line] = decode(logPage, {
  logs: [{ id: 1, device: 7, device_name: 'nas', t_ms: 5, level: 'error', source: 'gateway', message: 'Disk FULL', group: '00000000000000ab' }],
  next: null,
}).logs;

describe('the filter of log lines', () => {
  it('is read from the address, and what makes no sense is left out', () => {
    expect(logFilterFrom({ q: 'x', device: '7', level: 'warn', since: '24h', at: '12', group: '00000000000000ab' })).toEqual({ q: 'x', device: '7', level: 'warn', since: '24h', at: 12, group: '00000000000000ab' });
    expect(logFilterFrom({ q: ['a'], device: '-7', level: 'loud', since: '2y', at: 'now', group: 'AB' })).toEqual({ q: '', device: '', level: '', since: '', at: null, group: null });
  });

  it('asks for the line at the moment itself', () => {
    expect(logParameters(logFilterFrom({ at: '12', since: '1h' }), 4_000_000)).toMatchObject({ from_ms: 400_000, to_ms: 13 });
  });

  it.each([
    [{}, true],
    [{ q: 'full' }, true],
    [{ q: 'empty' }, false],
    [{ level: 'error' }, true],
    [{ level: 'fatal' }, false],
    [{ device: '7' }, true],
    [{ device: '8' }, false],
    [{ group: '00000000000000ab' }, true],
    [{ group: '00000000000000ac' }, false],
  ])('%j: a line of the feed belongs to it: %s', (query, belongs) => {
    if (!line) throw new Error('no line');
    expect(passes(logFilterFrom(query), line)).toBe(belongs);
  });
});
