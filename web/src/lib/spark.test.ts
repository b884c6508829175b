import { describe, expect, it } from 'vitest';
import { SPARK_MS, sparkPath, withValue, type Spark } from './spark';

const MINUTE = 60_000;

function spark(values: (number | null)[], from_ms = 0): Spark {
  return { from_ms, step_ms: MINUTE, values };
}

describe('a small line', () => {
  it('joins what is near and has a hole where nothing came for long', () => {
    const near = sparkPath(spark([0, null, null, 0]), SPARK_MS);
    expect(near.line).toBe('M0.8 27.0L5.8 27.0');
    const far = sparkPath(spark([0, 0, null, null, null, null, 0, 0]), SPARK_MS);
    expect(far.line).toBe('M0.8 27.0L2.5 27.0M10.8 27.0L12.5 27.0');
    expect(far.area.match(/M/g)).toHaveLength(2);
  });

  it('of a single point is seen', () => expect(sparkPath(spark([0]), SPARK_MS).line).toBe('M0.8 27.0L2.5 27.0'));

  it('of nothing is nothing', () => expect(sparkPath(spark([null, null]), SPARK_MS)).toEqual({ line: '', area: '' }));

  it('leaves out what is older than its width', () => {
    expect(sparkPath(spark([50, 0, 0]), SPARK_MS + MINUTE).line).toBe('M0.8 27.0L2.5 27.0');
  });
});

describe('a value of the live feed', () => {
  it('moves the point of its minute, and begins the next one', () => {
    expect(withValue(spark([1, 2]), MINUTE + 1_000, 3).values).toEqual([1, 3]);
    expect(withValue(spark([1, 2]), 3 * MINUTE, 4).values).toEqual([1, 2, null, 4]);
  });

  it('pushes out what is older than an hour', () => {
    const full = spark(Array.from({ length: 60 }, (_, minute) => minute));
    const moved = withValue(full, 61 * MINUTE, 7);
    expect([moved.from_ms, moved.values.length, moved.values[0], moved.values.at(-1)]).toEqual([2 * MINUTE, 60, 2, 7]);
  });

  it('after a long silence begins anew, and one from before the line is left out', () => {
    expect(withValue(spark([1]), 1_000 * MINUTE + 5, 9)).toEqual(spark([9], 1_000 * MINUTE));
    expect(withValue(spark([1], 10 * MINUTE), 0, 9)).toEqual(spark([1], 10 * MINUTE));
  });
});
