/** Counts checks and says how each went, one line each. */

export class Checks {
  #passed = 0;
  #failed = 0;

  /** A check that fails does not end the run: later ones say more. Its result tells whether it passed. */
  async run(name: string, body: () => Promise<void>): Promise<boolean> {
    const started = Date.now();
    try {
      await body();
      this.#passed += 1;
      console.log(`ok    ${name} (${Date.now() - started} ms)`);
      return true;
    } catch (error) {
      this.#failed += 1;
      console.log(`FAIL  ${name}\n      ${String(error instanceof Error ? error.message : error).replaceAll('\n', '\n      ')}`);
      return false;
    }
  }

  /** The last line of the output; the exit code. */
  finish(): number {
    console.log(`${this.#passed} passed, ${this.#failed} failed`);
    return this.#failed === 0 ? 0 : 1;
  }
}

export function equal(actual: unknown, expected: unknown, what: string): void {
  const left = JSON.stringify(actual);
  const right = JSON.stringify(expected);
  if (left !== right) throw new Error(`${what}: ${left}, expected ${right}`);
}

export function holds(fact: boolean, what: string): asserts fact {
  if (!fact) throw new Error(what);
}

const POLL_MS = 100;

/** Asks until `probe` has an answer that is not null; there is no event to wait for in what it looks at. */
export async function eventually<T>(probe: () => Promise<T | null>, within_ms: number, what: string): Promise<T> {
  const deadline = Date.now() + within_ms;
  for (;;) {
    const answer = await probe();
    if (answer !== null) return answer;
    if (Date.now() > deadline) throw new Error(`${what}: not within ${within_ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
