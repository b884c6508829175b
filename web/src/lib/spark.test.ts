import { describe, expect, it } from 'vitest';
import { sparkPath } from './spark';

describe('a small line', () => {
  it('has a hole where nothing is known', () => {
    const { line, area } = sparkPath([[0, 0], [10, 0], [10, null], [50, 0], [100, 0]], 0, 100);
    expect(line).toBe('M0.0 27.0L10.0 27.0M50.0 27.0L100.0 27.0');
    expect(area.match(/M/g)).toHaveLength(2);
  });

  it('of nothing is nothing', () => expect(sparkPath([], 0, 100)).toEqual({ line: '', area: '' }));

  it('leaves out what is older than its width', () => {
    expect(sparkPath([[-1, 50], [100, 0]], 0, 100).line).toBe('M100.0 27.0');
  });
});
