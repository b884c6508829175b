// Runs the browser test, or another file of this folder, through Vite's module runner: TypeScript without a compiler step.
import { runnerImport } from 'vite';

const { module } = await runnerImport(new URL(`./${process.argv[2] ?? 'main'}.ts`, import.meta.url).pathname, { configFile: false });
process.exitCode = await module.main();
