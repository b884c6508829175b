/** Points to SVG paths for the small lines of the overview. */

export const SPARK_WIDTH = 100;
export const SPARK_HEIGHT = 28;

/** A flat line of a few percent stays low; the scale grows with the highest point. */
const TOP_MIN = 25;

type Point = readonly [t_ms: number, value: number | null];

export function sparkPath(points: readonly Point[], from_ms: number, to_ms: number): { line: string; area: string } {
  const top = Math.max(TOP_MIN, ...points.map(([, value]) => value ?? 0)) * 1.08;
  const x = (t_ms: number): string => (((t_ms - from_ms) / (to_ms - from_ms)) * SPARK_WIDTH).toFixed(1);
  const y = (value: number): string => (SPARK_HEIGHT - 1 - (value / top) * (SPARK_HEIGHT - 2)).toFixed(1);
  let line = '';
  let area = '';
  for (const piece of pieces(points.filter(([t_ms]) => t_ms >= from_ms && t_ms <= to_ms))) {
    const [first] = piece;
    const last = piece.at(-1);
    if (!first || !last) continue;
    const run = piece.map(([t_ms, value]) => `${x(t_ms)} ${y(value)}`).join('L');
    line += `M${run}`;
    area += `M${x(first[0])} ${SPARK_HEIGHT}L${run}L${x(last[0])} ${SPARK_HEIGHT}Z`;
  }
  return { line, area };
}

function pieces(points: readonly Point[]): [number, number][][] {
  const out: [number, number][][] = [[]];
  for (const [t_ms, value] of points) {
    if (value === null) out.push([]);
    else out.at(-1)?.push([t_ms, value]);
  }
  return out.filter((piece) => piece.length > 0);
}
