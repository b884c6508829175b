/** A browser page that is listened to: whatever should never happen is written down with its place. */

import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';

const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium';

/** The page asks who is signed in; the browser reports the answer "nobody" (or a wrong password) as an error. */
const EXPECTED = /\/api\/v1\/session$/;
const EXPECTED_STATUS = /status of (401|403)/;

export async function launch(): Promise<Browser> {
  return await chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

export class Watch {
  readonly problems: string[] = [];
  readonly violations: string[] = [];
  readonly foreign: string[] = [];
  /** While the server is down on purpose its absence is no fault of the page. */
  outage = false;
  /** What a check brings about on purpose, as `text (address)`. */
  readonly expected: RegExp[] = [];

  constructor(private readonly origin: string) {}

  async open(browser: Browser, options: Parameters<Browser['newContext']>[0]): Promise<Page> {
    const context = await browser.newContext({ locale: 'en-GB', ...options });
    await this.#listen(context);
    return await context.newPage();
  }

  async #listen(context: BrowserContext): Promise<void> {
    await context.exposeFunction('reportViolation', (text: string) => this.violations.push(text));
    await context.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (event) => {
        const report = (window as unknown as { reportViolation(text: string): void }).reportViolation;
        report(`${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
      });
    });
    context.on('console', (message) => {
      if (message.type() !== 'error' && message.type() !== 'warning') return;
      const { url } = message.location();
      if (EXPECTED.test(url) && EXPECTED_STATUS.test(message.text())) return;
      if (this.outage && /ERR_CONNECTION_REFUSED|WebSocket connection|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET/.test(message.text())) return;
      const problem = `${message.text()} (${url})`;
      if (!this.expected.some((pattern) => pattern.test(problem))) this.problems.push(problem);
    });
    context.on('weberror', (error) => this.problems.push(`not caught: ${error.error().message}`));
    // A page that runs somebody's alert() has run somebody's code.
    context.on('dialog', (dialog) => {
      this.problems.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    context.on('request', (request) => {
      if (!request.url().startsWith(this.origin) && !request.url().startsWith('data:')) this.foreign.push(request.url());
    });
  }
}

/** How many pixels of a canvas are drawn on in a colour, not in the grey of grid and labels. */
export async function colouredPixels(page: Page, selector: string): Promise<number[]> {
  return await page.locator(selector).evaluateAll((canvases) =>
    canvases.map((canvas) => {
      if (!(canvas instanceof HTMLCanvasElement)) return 0;
      // Read from a copy: reading the chart's own canvas would take it off the graphics card.
      const copy = new OffscreenCanvas(canvas.width || 1, canvas.height || 1);
      const context = copy.getContext('2d', { willReadFrequently: true });
      if (!context || canvas.width === 0 || canvas.height === 0) return 0;
      context.drawImage(canvas, 0, 0);
      const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
      let found = 0;
      for (let at = 0; at < data.length; at += 4) {
        const [red = 0, green = 0, blue = 0, alpha = 0] = data.subarray(at, at + 4);
        if (alpha > 100 && Math.max(red, green, blue) - Math.min(red, green, blue) > 50) found += 1;
      }
      return found;
    }),
  );
}
