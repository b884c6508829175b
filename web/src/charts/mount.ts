/** The one owner of a chart: makes it, fits it to its element, draws at once what can be seen, disposes of it. */

import type { Chart, ChartOption } from './echarts';

export interface MountedChart {
  update(option: ChartOption): void;
  /** The chart as a picture, with a heading that the page otherwise writes beside it. */
  picture(heading: Heading): Promise<Blob | null>;
  dispose(): void;
}

/** What stands above the chart in a picture of it. */
export interface Heading {
  title: string;
  /** Each line with its colour. */
  legend: readonly { name: string; colour: string }[];
  font: string;
  text: string;
  background: string;
}

/** Dots of a picture for each pixel: sharp on every screen and in print. */
const PICTURE_SCALE = 2;
const HEADING_PX = 40;
const SIDE_PX = 16;

/** The width of a sheet of A4 within its margins: on paper a chart is drawn for it, so that its texts keep their form. */
const PAPER_PX = 700;
/** Dots of it for each pixel: printers are finer than screens. */
const PAPER_SCALE = 3;

/** A chart that is nearly in sight is drawn, so that scrolling shows no empty frames. */
const AHEAD_PX = 300;
/** Out of sight a chart is drawn no more often than this, but it is drawn: a picture of the whole page has it too. */
const UNSEEN_MS = 10_000;

export async function mountChart(element: HTMLElement, signal: AbortSignal): Promise<MountedChart | null> {
  const { init } = await import('./echarts');
  // The view may be gone by the time the code has arrived.
  if (signal.aborted) return null;
  const chart: Chart = init(element, null, { renderer: 'canvas' });
  let visible = true;
  let waiting: ChartOption | null = null;
  let drawn_ms = -Infinity;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function draw(): void {
    clearTimeout(timer);
    timer = undefined;
    if (waiting === null) return;
    // Series come and go between updates (cores, disks): those not named any more must disappear.
    chart.setOption(waiting, { replaceMerge: ['series'], lazyUpdate: false });
    waiting = null;
    drawn_ms = performance.now();
  }

  /** A sheet has no window: its size is set here, not measured. */
  let paper = false;
  const resized = new ResizeObserver(() => {
    if (!paper) chart.resize();
  });
  resized.observe(element);
  const seen = new IntersectionObserver(
    (entries) => {
      visible = entries.at(-1)?.isIntersecting ?? true;
      if (visible) draw();
    },
    { rootMargin: `${AHEAD_PX}px` },
  );
  seen.observe(element);

  /** On paper a finer picture stands in the chart's place; see `.sheet` in the styles. */
  let sheet: HTMLCanvasElement | null = null;
  const onPaper = (): void => {
    draw();
    paper = true;
    chart.resize({ width: PAPER_PX, height: chart.getHeight() });
    // By then the colours are those of paper: whoever gives them heard of the print before.
    queueMicrotask(() => {
      if (!paper || chart.isDisposed()) return;
      sheet?.remove();
      sheet = chart.renderToCanvas({ pixelRatio: PAPER_SCALE });
      // Its place in a stack of layers; on paper it takes the room it needs.
      sheet.removeAttribute('style');
      sheet.className = 'sheet';
      element.append(sheet);
    });
  };
  const onScreen = (): void => {
    paper = false;
    sheet?.remove();
    sheet = null;
    chart.resize({ width: 'auto', height: 'auto' });
  };
  window.addEventListener('beforeprint', onPaper);
  window.addEventListener('afterprint', onScreen);

  return {
    update(option) {
      waiting = option;
      if (visible) draw();
      else timer ??= setTimeout(draw, Math.max(0, drawn_ms + UNSEEN_MS - performance.now()));
    },
    async picture(heading) {
      draw();
      const plot = chart.renderToCanvas({ pixelRatio: PICTURE_SCALE });
      return await withHeading(plot, heading);
    },
    dispose() {
      clearTimeout(timer);
      resized.disconnect();
      seen.disconnect();
      window.removeEventListener('beforeprint', onPaper);
      window.removeEventListener('afterprint', onScreen);
      chart.dispose();
    },
  };
}

async function withHeading(plot: HTMLCanvasElement, heading: Heading): Promise<Blob | null> {
  const canvas = document.createElement('canvas');
  canvas.width = plot.width;
  canvas.height = plot.height + HEADING_PX * PICTURE_SCALE;
  const context = canvas.getContext('2d');
  if (!context) return null;
  context.fillStyle = heading.background;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(plot, 0, HEADING_PX * PICTURE_SCALE);
  context.scale(PICTURE_SCALE, PICTURE_SCALE);
  context.textBaseline = 'middle';
  context.font = `600 14px ${heading.font}`;
  context.fillStyle = heading.text;
  context.fillText(heading.title, SIDE_PX, HEADING_PX / 2);
  let x = SIDE_PX + context.measureText(heading.title).width + 20;
  context.font = `12px ${heading.font}`;
  for (const { name, colour } of heading.legend) {
    context.fillStyle = colour;
    context.fillRect(x, HEADING_PX / 2 - 2, 12, 3);
    context.fillStyle = heading.text;
    context.fillText(name, x + 18, HEADING_PX / 2);
    x += 18 + context.measureText(name).width + 16;
  }
  return await new Promise((resolve) => canvas.toBlob(resolve, 'image/png'));
}
