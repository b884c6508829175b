import { describe, expect, it } from 'vitest';
import type { Retention } from '../api/model';
import { keepLines, readKeeps } from './keep-form';

const raw: Retention = { kind: 'raw', keep_days: 30, keep_bytes: null, bytes_per_day: 5, forecast_bytes: 150, default_days: 30, days_fixed: false, bytes_fixed: false, bytes: 20, oldest_ms: 1 };
const logs: Retention = { ...raw, kind: 'logs', keep_days: 90, keep_bytes: 2_500_000_000 };

describe('what is kept', () => {
  it('comes back as nothing to change', () => {
    expect(keepLines([raw, logs]).map((line) => `${line.days} ${line.gigabytes}`)).toEqual(['30 ', '90 2.5']);
    expect(readKeeps(keepLines([raw, logs]), [raw, logs])).toEqual({ edit: {}, faults: new Set() });
  });

  it('is sent only where it changed', () => {
    const [first, second] = keepLines([raw, logs]);
    if (!first || !second) throw new Error('two lines');
    expect(readKeeps([{ ...first, days: '60' }, { ...second, gigabytes: '' }], [raw, logs]).edit).toEqual({ raw: { days: 60 }, logs: { bytes: null } });
    expect(readKeeps([{ ...first, gigabytes: '0,5' }], [raw]).edit).toEqual({ raw: { bytes: 500_000_000 } });
  });

  it.each(['0', '-1', '36501', '1.5', 'long', ''])('for %j days is refused', (days) => {
    expect([...readKeeps([{ kind: 'raw', days, gigabytes: '' }], [raw]).faults]).toEqual(['raw days']);
  });

  it.each(['0', 'x', '1e3', '9999999999'])('in %s GB is refused', (gigabytes) => {
    expect([...readKeeps([{ kind: 'raw', days: '30', gigabytes }], [raw]).faults]).toEqual(['raw bytes']);
  });

  it('of the configuration is left alone', () => {
    const fixed = { ...raw, days_fixed: true, bytes_fixed: true };
    expect(readKeeps([{ kind: 'raw', days: '60', gigabytes: '1' }], [fixed]).edit).toEqual({});
  });
});
