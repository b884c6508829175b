import vue from '@vitejs/plugin-vue';
import { defineConfig } from 'vitest/config';
import { compress } from './build/compress.ts';

// `npm run dev` passes API and live feed on to a server started by hand.
const server = process.env['OPENCLAW_WATCH_DEV_SERVER'] ?? 'http://127.0.0.1:38888';

export default defineConfig({
  plugins: [vue(), compress()],
  define: {
    // Messages are read by an interpreter, never by `new Function`: the content security policy has no 'unsafe-eval'.
    __INTLIFY_JIT_COMPILATION__: true,
    __INTLIFY_DROP_MESSAGE_COMPILER__: false,
    __INTLIFY_PROD_DEVTOOLS__: false,
    __VUE_I18N_FULL_INSTALL__: false,
    __VUE_I18N_LEGACY_API__: false,
    __VUE_OPTIONS_API__: true,
    __VUE_PROD_DEVTOOLS__: false,
    __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: false,
  },
  build: {
    target: 'es2022',
    // No data: URLs and no inline module preload script, both refused by the policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
    reportCompressedSize: false,
    // Whose code is in the page and under which licence: part of the third-party notices.
    license: { fileName: 'licenses.md' },
    rolldownOptions: {
      output: {
        // The framework changes less often than the page: browsers keep it over releases.
        codeSplitting: { groups: [{ name: 'vue', test: /node_modules[\\/](@vue|vue|vue-router|vue-i18n|@intlify)[\\/]/ }] },
      },
    },
  },
  server: { proxy: { '/api': { target: server, ws: true } } },
  test: { include: ['src/**/*.test.ts', 'build/**/*.test.ts'], environment: 'node' },
});
