// Runs the browser test, which is TypeScript, through Vite's module runner: no compiler step of its own.
import { runnerImport } from 'vite';

const { module } = await runnerImport(new URL('./main.ts', import.meta.url).pathname, { configFile: false });
process.exitCode = await module.main();
