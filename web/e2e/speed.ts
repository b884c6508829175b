/**
 * How fast the page is with a thousand devices and a long range. What is measured is reported, not asserted: the
 * machine may be busy. What is asserted is that only the rows in sight are in the page, and that a zoom is answered finer.
 */

import type { CDPSession, Page } from 'playwright-core';
import { equal, holds } from './checks';
import { addFleet, bootId, random, send, sendNow, type DemoDevice } from './demo';
import { addDevice, at, caller, rowOf, type Stage } from './stage';

const DEVICES = 1_000;
/** The agent's usual one, seconds: in each of them a part of the fleet reports. */
const INTERVAL_S = 10;
/** More rows than this in the page would be the whole list. */
const ROWS_MAX = 80;
const STEP_PX = 60;
const FRAMES = 200;
const FEED_MS = 5_000;
const DAY = 86_400_000;

export async function speed(stage: Stage): Promise<void> {
  const { checks, server, page } = stage;
  let fleet: DemoDevice[] = [];

  await checks.run('a thousand devices are added and report', async () => {
    fleet = await addFleet(await caller(page, server.web), DEVICES, 3);
    await sendNow(server.ingest, fleet, Date.now(), random(3));
  });

  await checks.run('the first view of a thousand devices, and what the feed brings', async () => {
    let bytes = 0;
    const count = (payload: string | Buffer): void => void (bytes += Buffer.byteLength(payload));
    page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => count(payload)));
    await page.goto(`${server.web}/?sort=name&q=-`);
    await rowOf(page, 'aliyun-11').waitFor();
    await page.waitForFunction(() => performance.getEntriesByType('resource').some(({ name }) => name.includes('/api/v1/activity')));
    const calls = await page.evaluate(() =>
      performance.getEntriesByType('resource').flatMap((entry) => {
        const { name, requestStart, responseStart, transferSize } = entry as PerformanceResourceTiming;
        const [, path] = /\/api\/v1\/(devices|summary|activity|logs)\b/.exec(name) ?? [];
        return path === undefined ? [] : [`${path} ${(responseStart - requestStart).toFixed(0)} ms, ${(transferSize / 1_000).toFixed(0)} kB`];
      }),
    );
    // Asked for at once, so each also waits for the others on a machine with two cores.
    console.log(`      first view of ${DEVICES} devices, answered in: ${calls.join('; ')}`);
    const next = random(4);
    const alive = fleet.filter(({ fate }) => fate !== 'never' && fate !== 'silent');
    const part = Math.ceil(alive.length / INTERVAL_S);
    const before = bytes;
    const started = performance.now();
    for (let second = 0; performance.now() - started < FEED_MS; second += 1) {
      const from = (second * part) % alive.length;
      await Promise.all([sendNow(server.ingest, alive.slice(from, from + part), Date.now(), next), new Promise((resolve) => setTimeout(resolve, 1_000))]);
    }
    console.log(`      feed of ${DEVICES} devices that report every ${INTERVAL_S} s: ${((bytes - before) / (performance.now() - started)).toFixed(1)} kB/s`);
    holds(bytes > before, 'the feed brought something');
  });

  await checks.run('a thousand devices are scrolled with only the rows in sight in the page', async () => {
    const session = await page.context().newCDPSession(page);
    await session.send('Performance.enable');
    const before = await spent(session);
    const frames = await scrolled(page);
    const after = await spent(session);
    await session.detach();
    const share = (part: number): string => (frames[Math.floor(frames.length * part)] ?? 0).toFixed(1);
    const each = (name: string): string => ((1_000 * ((after.get(name) ?? 0) - (before.get(name) ?? 0))) / frames.length).toFixed(2);
    console.log(`      scrolling ${DEVICES} devices: a frame takes ${share(0.5)} ms in the middle, ${share(0.95)} ms at the 95th percentile (${frames.length} frames)`);
    // Headless Chromium draws on the processor; these are the parts that the page is to blame for.
    console.log(`      of it ${each('ScriptDuration')} ms script, ${each('RecalcStyleDuration')} ms style, ${each('LayoutDuration')} ms layout`);
    const shown = await page.locator('[data-device]').count();
    holds(shown > 5 && shown < ROWS_MAX, `rows in the page: ${shown}`);
    await page.evaluate(() => window.scrollTo(0, document.body.scrollHeight));
    await rowOf(page, 'travel-996').waitFor();
  });

  await checks.run('a long range is drawn, and a zoom into it is answered by a finer tier', async () => {
    const { id, key } = await addDevice(page, server.web, 'a-month');
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
    const resolution = (): Promise<string> => page.locator(at('resolution')).innerText();
    holds((await resolution()).includes('rollups'), `a year: ${await resolution()}`);
    await page.goto(`${server.web}/devices/${id}?range=1y&from=${now - DAY}&to=${now}`);
    await page.waitForFunction(() => document.querySelector('[aria-busy=true]') === null);
    equal(await resolution(), 'every report', 'resolution of a day of it');
  });
}

/** Seconds that the main thread spent, by what for. */
async function spent(session: CDPSession): Promise<Map<string, number>> {
  const { metrics } = await session.send('Performance.getMetrics');
  return new Map(metrics.map(({ name, value }) => [name, value]));
}

/** How long each frame took, milliseconds, the shortest first. */
async function scrolled(page: Page): Promise<number[]> {
  return await page.evaluate(
    async ([step, count]) => {
      const times: number[] = [];
      let last = performance.now();
      for (let frame = 0; frame < count; frame += 1) {
        window.scrollTo(0, frame * step);
        await new Promise(requestAnimationFrame);
        const now = performance.now();
        times.push(now - last);
        last = now;
      }
      return times.sort((a, b) => a - b);
    },
    [STEP_PX, FRAMES] as const,
  );
}
