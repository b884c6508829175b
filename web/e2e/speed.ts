/**
 * How fast the page is with a thousand devices and a long range. What is measured is reported, not asserted: the
 * machine may be busy. What is asserted is that only the rows in sight are in the page.
 */

import { holds } from './checks';
import { bootId, random, send } from './demo';
import { addDevice, rowOf, type Stage } from './stage';

const DEVICES = 1_000;
/** More rows than this in the page would be the whole list. */
const ROWS_MAX = 80;
const DAY = 86_400_000;

export async function speed({ checks, server, page }: Stage): Promise<void> {
  await checks.run('a thousand devices are scrolled with only the rows in sight in the page', async () => {
    const real = (await (await page.request.get(`${server.web}/api/v1/devices`)).json()) as { devices: { latest: Record<string, number> }[] };
    const [pattern] = real.devices;
    const next = random(3);
    const devices = Array.from({ length: DEVICES }, (_, index) => ({
      ...pattern,
      id: 100_000 + index,
      name: `many-${String(index).padStart(4, '0')}`,
      state: 'online',
      latest: { ...pattern?.latest, cpu_percent: Math.round(next() * 100), disk_percent: Math.round(next() * 100) },
    }));
    // Adding them for real would take a minute; the page cannot tell.
    await page.route(/\/api\/v1\/devices(\?|$)/, (route) => route.fulfill({ json: { ...real, devices } }));
    await page.goto(`${server.web}/?sort=name`);
    await rowOf(page, 'many-0000').waitFor();
    const frames = await page.evaluate(async () => {
      const times: number[] = [];
      let last = performance.now();
      for (let y = 0; y < 12_000; y += 60) {
        window.scrollTo(0, y);
        await new Promise(requestAnimationFrame);
        const now = performance.now();
        times.push(now - last);
        last = now;
      }
      return times.sort((a, b) => a - b);
    });
    const at = (share: number): string => (frames[Math.floor(frames.length * share)] ?? 0).toFixed(1);
    console.log(`      scrolling ${DEVICES} devices: a frame takes ${at(0.5)} ms in the middle, ${at(0.95)} ms at the 95th percentile (${frames.length} frames)`);
    const shown = await page.locator('[data-device]').count();
    holds(shown > 5 && shown < ROWS_MAX, `rows in the page: ${shown}`);
    await page.evaluate(() => window.scrollTo(0, document.body.scrollHeight));
    await rowOf(page, 'many-0999').waitFor();
    await page.unroute(/\/api\/v1\/devices(\?|$)/);
  });

  await checks.run('a long range is drawn', async () => {
    const { id, key } = await addDevice(page, server.web, 'a-year');
    const now = Date.now();
    const next = random(5);
    const rows = Array.from({ length: 4_000 }, (_, index) => ({
      t_ms: Math.round(now - (29 * DAY * (4_000 - index)) / 4_000),
      v: { cpu_percent: Math.round(next() * 100), memory_percent: 50, net_tx_rate: 1, net_rx_rate: 1 },
    }));
    await send(server.ingest, key, { agent: { version: '0.1.0', boot_id: bootId(id), seq: 1, interval_s: 600 }, rows });
    await page.goto(`${server.web}/devices/${id}`);
    await page.locator('.plot canvas').first().waitFor();
    await page.waitForFunction(() => document.querySelector('[aria-busy=true]') === null);
    const drawn = await page.evaluate(async () => {
      const busy = (): boolean => document.querySelector('[aria-busy=true]') !== null;
      const started = performance.now();
      document.querySelector<HTMLInputElement>('[data-test=range-1y]')?.click();
      while (!busy()) await new Promise(requestAnimationFrame);
      while (busy()) await new Promise(requestAnimationFrame);
      await new Promise(requestAnimationFrame);
      return performance.now() - started;
    });
    console.log(`      a one-year range is drawn ${drawn.toFixed(0)} ms after the click`);
  });
}
