import { describe, expect, it } from 'vitest';
import { SPARK_MS, sparkOf, withPoint, type SparkPoint } from './glances';

const MINUTE = 60_000;

describe('the points of a small line', () => {
  it('are those of one device, with a hole where it was silent', () => {
    const answer = {
      tier: 'raw',
      step_ms: MINUTE,
      from_ms: 0,
      to_ms: 1,
      t_ms: [0, 1, 2, 3, 4, 5, 6].map((n) => n * MINUTE),
      series: [
        { device: 1, metric: 'cpu_percent', avg: [1, 2, null, null, null, null, 7], min: null, max: null },
        { device: 2, metric: 'cpu_percent', avg: [9, 9, 9, 9, 9, 9, 9], min: null, max: null },
      ],
      gaps: [],
    };
    expect(sparkOf(answer, 1)).toEqual([[0, 1], [MINUTE, 2], [MINUTE, null], [6 * MINUTE, 7]]);
    expect(sparkOf(answer, 3)).toEqual([]);
  });

  it('move within the last minute and grow after it', () => {
    const points: SparkPoint[] = [[0, 1], [MINUTE, 2]];
    expect(withPoint(points, MINUTE + 1_000, 3)).toEqual([[0, 1], [MINUTE, 2], [MINUTE + 1_000, 3]]);
    expect(withPoint([...points, [MINUTE + 1_000, 3]], MINUTE + 2_000, 4)).toEqual([[0, 1], [MINUTE, 2], [MINUTE + 2_000, 4]]);
  });

  it('older than the line is long are dropped', () => {
    expect(withPoint([[0, 1], [SPARK_MS, 2]], SPARK_MS + 1, 3)).toEqual([[SPARK_MS, 2], [SPARK_MS + 1, 3]]);
  });
});
