/** What devices, clocks, networks and newer servers may throw at the page. */

import { equal, eventually, holds } from './checks';
import { bootId, send } from './demo';
import { ACCOUNT, addDevice, at, call, rowOf, type Stage } from './stage';
import { colouredPixels } from './watch';

const MARKUP = '<img src=x onerror=alert(1)>';
const NASTY = [
  MARKUP,
  '</script><script>alert(2)</script>',
  '"><svg onload=alert(3)>',
  '{{constructor.constructor("alert(4)")()}}',
  'javascript:alert(5)',
  '=HYPERLINK("http://evil.example","x")',
  '\u202Egnp.exe \u0000\u0007\u001b[31mred\u001b[0m',
  'x'.repeat(9_000),
  '😀'.repeat(400),
];
const METRICS = 300;
const DEVICE = `hostile ${MARKUP}`;
const WAIT_MS_MAX = 15_000;
const HOUR = 3_600_000;

export async function badInput({ checks, server, page, watch, shoot }: Stage): Promise<void> {
  let device = 0;
  const fetches = (name: string) => page.waitForResponse((response) => new URL(response.url()).pathname === `/api/v1/${name}`);

  await checks.run('hostile names, lines and facts are text in every view', async () => {
    const { id, key } = await addDevice(page, server.web, DEVICE);
    device = id;
    const now = Date.now();
    const values: Record<string, number> = { cpu_percent: 12, memory_percent: 40, temperature_celsius: 41 };
    for (let n = 0; n < METRICS; n += 1) values[`custom_${n}`] = n;
    values[`disk_percent{mount="${MARKUP.replaceAll('"', '')}"}`] = 93;
    // Five minutes ahead: a clock that is wrong but not absurd.
    const rows = [now - HOUR, now - 60_000, now, now + 5 * 60_000].map((t_ms) => ({ t_ms, v: values }));
    await send(server.ingest, key, {
      agent: { version: '0.1.0', boot_id: '00000000-0000-4000-8000-0000000000aa', seq: 1 },
      facts: { hostname: MARKUP, os: MARKUP, cpu_model: MARKUP, openclaw_version: MARKUP, public_ip: MARKUP, cores: 4 },
      states: { gateway: 'degraded', gateway_failing: '<b>telegram' },
      rows,
      logs: NASTY.map((message, index) => ({ t_ms: now - index * 1_000, level: index % 2 ? 'error' : 'fatal', source: MARKUP.slice(0, 60), message })),
      usage: [{ event_id: 'nasty-1', t_ms: now, agent: MARKUP, provider: MARKUP, model: MARKUP, input: 5, output: 5, cache_read: 0, cache_write: 0 }],
    });
    await call(page, server.web, 'POST', '/api/v1/tokens', { name: MARKUP, scope: 'read' });
    const views = ['/', '/?view=cards', '/usage', '/usage?by=agent', '/usage?by=device', '/logs', '/logs?view=groups', '/events', '/settings/prices', '/settings/tokens', `/devices/${id}`, `/devices/${id}/tokens`, `/devices/${id}/logs`, `/devices/${id}/events`];
    for (const view of views) {
      await page.goto(`${server.web}${view}`);
      await page.locator('main').getByText('<img').filter({ visible: true }).first().waitFor();
      equal((await page.locator('main time:visible').allInnerTexts()).filter((text) => text.startsWith('-')), [], `ages of a clock that is ahead, in ${view}`);
      equal(await page.locator('main img, main b, main script, main svg[onload]').count(), 0, `elements made of names in ${view}`);
      const [needed, there] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth] as const);
      holds(needed <= there, `${view} is ${needed} px wide, the window ${there}`);
    }
    await shoot('hostile-device');
    await page.goto(`${server.web}/devices/${id}`);
    for (const dialog of ['edit', 'rotate', 'delete']) {
      await page.locator(at(dialog)).click();
      await page.getByRole('dialog').getByText('<img').or(page.locator('dialog input[name=device-name]')).first().waitFor();
      equal(await page.locator('dialog img').count(), 0, `elements made of a name in the dialog: ${dialog}`);
      await page.keyboard.press('Escape');
    }
  });

  await checks.run('any of three hundred metrics can be added as a chart, and the address keeps it', async () => {
    await page.goto(`${server.web}/devices/${device}`);
    await page.locator(at('add-metric')).click();
    await page.getByLabel('Find a metric').fill('custom_29');
    equal(await page.locator('.found .metric').count(), 11, 'metrics that begin so');
    await page.getByRole('button', { name: 'custom_299', exact: true }).click();
    await page.getByRole('heading', { name: 'custom_299' }).waitFor();
    await page.reload();
    await page.getByRole('heading', { name: 'custom_299' }).waitFor();
    equal(new URL(page.url()).searchParams.getAll('metric'), ['custom_299'], 'metrics in the address');
  });

  await checks.run('a device with one sample shows it', async () => {
    const { id, key } = await addDevice(page, server.web, 'one sample');
    await send(server.ingest, key, { agent: { version: '0.1.0', boot_id: bootId(id), seq: 1, interval_s: 600 }, rows: [{ t_ms: Date.now() - 60_000, v: { cpu_percent: 55 } }] });
    await page.goto(`${server.web}/devices/${id}?range=15m`);
    await eventually(async () => ((await colouredPixels(page, '.plot canvas'))[0] ?? 0) > 2 || null, WAIT_MS_MAX, 'a point');
    holds((await page.locator('.chart.cpu .legend').innerText()).includes('55 %'), 'its value in the legend');
    await shoot('one-sample');
    await page.goto(`${server.web}/devices/${id}?range=1y`);
    await eventually(async () => ((await colouredPixels(page, '.plot canvas'))[0] ?? 0) > 2 || null, WAIT_MS_MAX, 'a point in a year');
    await page.goto(`${server.web}/?q=one+sample`);
    await rowOf(page, 'one sample').waitFor();
  });

  await checks.run('a time without figures, ten years, and a broken address have their faces', async () => {
    await page.goto(`${server.web}/devices/${device}?from=1000000&to=2000000`);
    await page.getByText('No data in this time').first().waitFor();
    await Promise.all([fetches('query'), page.goto(`${server.web}/devices/${device}?from=1480000000000&to=${Date.now()}`)]);
    await eventually(async () => ((await page.locator('[aria-busy=true]').count()) === 0 ? true : null), WAIT_MS_MAX, 'charts of ten years');
    equal(await page.locator('.face[role=alert]').count(), 0, 'errors');
    await shoot('ten-years');
    await page.goto(`${server.web}/devices/${device}?range=%3Cb%3E&from=x&to=-1&metric=%7B%22&cores=7`);
    await page.locator('.plot').first().waitFor();
    // The browser itself reports the 404.
    watch.expected.push(/status of 404.*devices\/999999/);
    await page.goto(`${server.web}/devices/999999`);
    await page.getByText('There is nothing here').waitFor();
  });

  await checks.run('an error in the middle of a zoom keeps the picture and offers another try', async () => {
    await page.goto(`${server.web}/devices/${device}?range=6h`);
    await eventually(async () => ((await colouredPixels(page, '.plot canvas'))[0] ?? 0) > 4 || null, WAIT_MS_MAX, 'a line');
    const busy = JSON.stringify({ error: { code: 'unavailable', message: 'Too much to do.' } });
    await page.route('**/api/v1/query?*', (route) => route.fulfill({ status: 200, contentType: 'application/json', body: busy }), { times: 1 });
    await page.evaluate(() => window.scrollTo(0, 0));
    const box = await page.locator('.plot').first().boundingBox();
    holds(box !== null, 'the first chart has a place');
    await page.mouse.move(box.x + box.width * 0.6, box.y + 80);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.95, box.y + 80, { steps: 4 });
    await page.mouse.up();
    await page.locator('.face[role=alert]').waitFor();
    holds(((await colouredPixels(page, '.plot canvas'))[0] ?? 0) > 4, 'the old picture is still there');
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.locator('.face[role=alert]').waitFor({ state: 'detached' });
  });

  await checks.run('a message of a newer server is skipped and said, and the feed goes on', async () => {
    const context = await page.context().browser()?.newContext({ storageState: await page.context().storageState(), locale: 'en-GB' });
    holds(context !== undefined, 'a browser');
    const other = await context.newPage();
    await other.routeWebSocket(/\/api\/v1\/live/, (socket) => {
      const upstream = socket.connectToServer();
      let said = false;
      upstream.onMessage((message) => {
        // What is known comes first, with fields nobody knows; then something of another kind.
        socket.send(message);
        if (said) return;
        said = true;
        socket.send(JSON.stringify({ t_ms: Date.now(), rows: {}, holograms: [1, 2, 3] }));
        socket.send(JSON.stringify({ format: 9, frames: 'yes' }));
        socket.send('not even JSON');
      });
    });
    await other.goto(`${server.web}/`);
    await other.locator(at('newer')).waitFor();
    await rowOf(other, DEVICE).waitFor();
    await other.getByText('Live', { exact: true }).waitFor();
    await context.close();
  });

  await checks.run('a server with a full disk, or with work that fails, says so above every view', async () => {
    const said = { ready: false, reason: 'the disk is full', code: 'disk_full' };
    watch.expected.push(/status of 503.*\/readyz/);
    await page.route('**/readyz', (route) => route.fulfill({ status: said.ready ? 200 : 503, json: said }));
    await page.goto(`${server.web}/logs`);
    const notice = page.locator(at('server-trouble'));
    await notice.filter({ hasText: 'its disk is full' }).waitFor();
    await shoot('server-disk-full');
    const look = () => page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
    Object.assign(said, { ready: true, reason: 'the moon is <b>full</b>', code: 'full_moon' });
    await look();
    await notice.filter({ hasText: 'the moon is <b>full</b>' }).waitFor();
    Object.assign(said, { reason: null, code: null });
    await look();
    await notice.waitFor({ state: 'detached' });
    await page.unroute('**/readyz');
  });

  await checks.run('a session that ends while a dialog is open leads to the sign-in and back', async () => {
    await page.goto(`${server.web}/?q=hostile`);
    await rowOf(page, DEVICE).waitFor();
    await page.locator(at('add-device')).click();
    await page.locator('input[name=device-name]').fill('never added');
    await call(page, server.web, 'DELETE', '/api/v1/session');
    await page.getByText('Your session has ended').waitFor();
    equal(await page.locator('dialog[open]').count(), 0, 'open dialogs');
    await page.locator('input[name=username]').fill(ACCOUNT.username);
    await page.locator('input[name=password]').fill(ACCOUNT.password);
    await page.locator('button[type=submit]').click();
    await rowOf(page, DEVICE).waitFor();
    equal(new URL(page.url()).searchParams.get('q'), 'hostile', 'the search one was at');
  });
}
