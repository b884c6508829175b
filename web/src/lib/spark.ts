/** The small lines of the overview: means of a minute, what the live feed adds to them, and the SVG path. Pure. */

export const SPARK_WIDTH = 100;
export const SPARK_HEIGHT = 28;
export const SPARK_MS = 3_600_000;

/** A flat line of a few percent stays low; the scale grows with the highest point. */
const TOP_MIN = 25;
/** Fewer empty steps in a row are joined: devices do not report by the minute's clock. */
const HOLE_STEPS = 4;

export interface Spark {
  /** The beginning of the first step. */
  from_ms: number;
  step_ms: number;
  /** One for each step; null where nothing came. */
  values: readonly (number | null)[];
}

/** The newest value stands for its step until a newer one comes; what is older than the line is long goes. */
export function withValue(spark: Spark, t_ms: number, value: number): Spark {
  const index = Math.floor((t_ms - spark.from_ms) / spark.step_ms);
  const length = Math.ceil(SPARK_MS / spark.step_ms);
  if (index < 0) return spark;
  if (index >= spark.values.length + length) return { ...spark, from_ms: t_ms - (t_ms % spark.step_ms), values: [value] };
  const values = [...spark.values];
  while (values.length <= index) values.push(null);
  values[index] = value;
  const old = Math.max(0, values.length - length);
  return { ...spark, from_ms: spark.from_ms + old * spark.step_ms, values: values.slice(old) };
}

/** `end_ms` is at the right edge. */
export function sparkPath(spark: Spark, end_ms: number): { line: string; area: string } {
  const from_ms = end_ms - SPARK_MS;
  let top = TOP_MIN;
  for (const value of spark.values) if (value !== null && value > top) top = value;
  const x = (t_ms: number): string => (((t_ms - from_ms) / SPARK_MS) * SPARK_WIDTH).toFixed(1);
  const y = (value: number): string => (SPARK_HEIGHT - 1 - (value / (top * 1.08)) * (SPARK_HEIGHT - 2)).toFixed(1);
  let line = '';
  let area = '';
  for (const piece of pieces(spark, from_ms, end_ms)) {
    const [first] = piece;
    const last = piece.at(-1);
    if (!first || !last) continue;
    // A point with no neighbour is drawn as long as its step.
    const points = piece.length > 1 ? piece : [first, [Math.min(first[0] + spark.step_ms, end_ms), first[1]] as const];
    const run = points.map(([t_ms, value]) => `${x(t_ms)} ${y(value)}`).join('L');
    line += `M${run}`;
    area += `M${x(first[0])} ${SPARK_HEIGHT}L${run}L${x(points.at(-1)?.[0] ?? last[0])} ${SPARK_HEIGHT}Z`;
  }
  return { line, area };
}

type Point = readonly [t_ms: number, value: number];

/** Points without a hole between them. */
function pieces(spark: Spark, from_ms: number, end_ms: number): Point[][] {
  const out: Point[][] = [];
  let before = -Infinity;
  for (const [index, value] of spark.values.entries()) {
    const t_ms = Math.min(spark.from_ms + (index + 0.5) * spark.step_ms, end_ms);
    if (value === null || t_ms < from_ms) continue;
    if (index - before > HOLE_STEPS) out.push([]);
    out.at(-1)?.push([t_ms, value]);
    before = index;
  }
  return out;
}
