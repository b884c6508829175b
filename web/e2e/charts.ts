/** The charts of a device: drawn, live, zoomed, exported. */

import type { Request } from 'playwright-core';
import { equal, eventually, holds } from './checks';
import { DEVICE, LINE_PIXELS_MIN, REPORT_MS_MAX, STEP_MS_MAX, at, pathOf, rowOf, type Stage } from './stage';
import { colouredPixels } from './watch';

/** Long enough for the page to have laid itself out before. */
const FIGURES_LATE_MS = 700;

export async function charts({ checks, server, page, shoot }: Stage): Promise<void> {
  await checks.run('the device page draws its charts, those below the window too', async () => {
    await rowOf(page, DEVICE).getByRole('link').click();
    await page.getByRole('heading', { name: DEVICE, level: 1 }).waitFor();
    // One more at the end, far below the window, and figures that arrive when that is known: it is drawn all the same.
    await page.route('**/api/v1/query?*', (route) => setTimeout(() => void route.continue(), FIGURES_LATE_MS));
    // In a quarter of an hour a second is about a pixel wide, so that a few reports make a line.
    await page.goto(`${server.web}${pathOf(page)}?range=15m&metric=memory_used`);
    const drawn = await eventually(
      async () => {
        const pixels = await colouredPixels(page, '.plot canvas');
        return pixels.length >= 6 && pixels.every((count) => count > LINE_PIXELS_MIN) ? pixels : null;
      },
      REPORT_MS_MAX,
      'six charts with lines, or more',
    ).finally(() => page.unroute('**/api/v1/query?*'));
    console.log(`      ${drawn.length} charts`);
    equal(await page.evaluate(() => window.scrollY), 0, 'scrolled to');
    await shoot('device');
  });

  await checks.run('the CPU chart moves with the live feed', async () => {
    const legend = (): Promise<string> => page.locator('.chart .legend').allInnerTexts().then((texts) => texts.join(' '));
    const before = await legend();
    await eventually(async () => ((await legend()) === before ? null : true), REPORT_MS_MAX, 'another value');
  });

  const queriedSpan = (url: string): number => {
    const { searchParams } = new URL(url);
    return Number(searchParams.get('to_ms')) - Number(searchParams.get('from_ms'));
  };
  /** The range that the first query after something was done asks for. */
  const queriedBy = async (action: () => Promise<void>): Promise<number> => {
    const isQuery = (request: Request): boolean => new URL(request.url()).pathname === '/api/v1/query';
    const [request] = await Promise.all([page.waitForRequest(isQuery), action()]);
    return queriedSpan(request.url());
  };
  const zoomed = (): boolean => new URL(page.url()).searchParams.has('from');
  const dragAcross = async (from: number, to: number): Promise<void> => {
    // From the top: scrolled down, the bar with the ranges may cover the chart.
    await page.evaluate(() => window.scrollTo(0, 0));
    const box = await page.locator('.plot').first().boundingBox();
    holds(box !== null, 'the first chart has a place');
    await page.mouse.move(box.x + box.width * from, box.y + box.height / 2);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * to, box.y + box.height / 2, { steps: 5 });
    await page.mouse.up();
  };

  await checks.run('a drag zooms: the server is asked for the narrower range, and the address says so', async () => {
    const whole = await queriedBy(() => page.locator('label', { has: page.locator(at('range-6h')) }).click());
    equal(whole, 6 * 3_600_000, 'the whole range');
    const span = await queriedBy(() => dragAcross(0.5, 0.75));
    holds(span > 3_600_000 && span < 2 * 3_600_000, `zoomed span ${span}`);
    holds(zoomed(), page.url());
    await page.locator(at('zoom-out')).waitFor();
    // Both ends are told alike: with the time alone, or with the day before it.
    const told = await page.locator(at('zoomed')).innerText();
    holds(/^(\d\d? [A-Z][a-z]+, )?\d\d:\d\d – (\d\d? [A-Z][a-z]+, )?\d\d:\d\d$/.test(told), told);
    await shoot('device-zoomed');
  });

  await checks.run('a second zoom, a double click, and the button lead back', async () => {
    const narrower = await queriedBy(() => dragAcross(0.4, 0.8));
    holds(narrower < 3_600_000, `the second zoom is narrower: ${narrower}`);
    const back = await queriedBy(() => page.locator('.plot').first().dblclick());
    holds(back > 3_600_000, `a double click goes back one zoom: ${back}`);
    await page.locator(at('zoom-out')).click();
    await eventually(async () => (zoomed() ? null : true), STEP_MS_MAX, 'no zoom in the address');
  });
}
