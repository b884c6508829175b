/** The one owner of a chart: makes it, fits it to its element, draws only while it can be seen, disposes of it. */

import type { Chart, ChartOption } from './echarts';

export interface MountedChart {
  update(option: ChartOption): void;
  dispose(): void;
}

/** A chart that is nearly in sight is drawn, so that scrolling shows no empty frames. */
const AHEAD_PX = 300;

export async function mountChart(element: HTMLElement, signal: AbortSignal): Promise<MountedChart | null> {
  const { init } = await import('./echarts');
  // The view may be gone by the time the code has arrived.
  if (signal.aborted) return null;
  const chart: Chart = init(element, null, { renderer: 'canvas' });
  let visible = true;
  let waiting: ChartOption | null = null;

  function draw(option: ChartOption): void {
    // Series come and go between updates (cores, disks): those not named any more must disappear.
    chart.setOption(option, { replaceMerge: ['series'], lazyUpdate: false });
  }

  const resized = new ResizeObserver(() => chart.resize());
  resized.observe(element);
  const seen = new IntersectionObserver(
    (entries) => {
      visible = entries.at(-1)?.isIntersecting ?? true;
      if (!visible || waiting === null) return;
      draw(waiting);
      waiting = null;
    },
    { rootMargin: `${AHEAD_PX}px` },
  );
  seen.observe(element);

  return {
    update(option) {
      if (visible) draw(option);
      else waiting = option;
    },
    dispose() {
      resized.disconnect();
      seen.disconnect();
      chart.dispose();
    },
  };
}
