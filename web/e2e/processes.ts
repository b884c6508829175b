/** The real server and the real agent as child processes, each ended by its own handle. */

import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

const READY_MS_MAX = 30_000;
const STOP_MS_MAX = 10_000;
/** Lines of a process kept for the report of a failure. */
const LINES_MAX = 200;

export class Process {
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #exited: Promise<number | null>;
  #listeners: ((line: string) => void)[] = [];

  constructor(
    readonly name: string,
    command: string,
    parameters: string[],
    environment: Record<string, string> = {},
  ) {
    this.#child = spawn(command, parameters, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...environment } });
    this.#exited = new Promise((resolve) => {
      this.#child.on('exit', (code) => resolve(code));
      this.#child.on('error', (error) => {
        this.#keep(String(error));
        resolve(null);
      });
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream) createInterface({ input: stream }).on('line', (line) => this.#keep(line));
    }
  }

  #keep(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length > LINES_MAX) this.#lines.shift();
    for (const listener of this.#listeners) listener(line);
  }

  /** What the process said last. */
  output(): string {
    return this.#lines.join('\n');
  }

  /** The first group of the first line that matches, said already or to come. */
  async line(pattern: RegExp): Promise<RegExpExecArray> {
    for (const line of this.#lines) {
      const match = pattern.exec(line);
      if (match) return match;
    }
    return await new Promise((resolve, reject) => {
      const give = (text: string): void => reject(new Error(`${this.name}: ${text}; it said:\n${this.output()}`));
      const timer = setTimeout(() => give(`no line like ${pattern} within ${READY_MS_MAX} ms`), READY_MS_MAX);
      void this.#exited.then((code) => give(`ended with ${code} before a line like ${pattern}`));
      this.#listeners.push((line) => {
        const match = pattern.exec(line);
        if (!match) return;
        clearTimeout(timer);
        resolve(match);
      });
    });
  }

  /** Asks it to end and waits; its exit code, null when it had to be killed. */
  async stop(): Promise<number | null> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return this.#child.exitCode;
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS_MAX);
    const code = await this.#exited;
    clearTimeout(timer);
    return code;
  }
}

export interface Server {
  process: Process;
  /** Where the page is: `http://127.0.0.1:41234`. */
  web: string;
  ingest: string;
  signUp: string | null;
}

export async function startServer(
  binary: string,
  dataDir: string,
  web = '127.0.0.1:0',
  ingest = '127.0.0.1:0',
  more: string[] = [],
): Promise<Server> {
  const server = new Process('server', binary, ['--data-dir', dataDir, '--web-listen', web, '--ingest-listen', ingest, ...more]);
  const [, webAddress = '', ingestAddress = ''] = await server.line(/^Ready: web ([^ ,]+), ingest ([^ ,]+)/);
  const signUp = /^Sign up: (\S+)/m.exec(server.output())?.[1] ?? null;
  return { process: server, web: address(webAddress), ingest: address(ingestAddress), signUp };
}

export function startAgent(binary: string, server: string, key: string, stateDir: string): Process {
  return new Process('agent', binary, [
    '--server',
    server,
    '--api-key',
    key,
    '--interval',
    '1',
    '--sample-interval',
    '1',
    '--state-dir',
    stateDir,
  ]);
}

function address(said: string): string {
  return said.startsWith('http') ? said.replace(/\/$/, '') : `http://${said}`;
}
