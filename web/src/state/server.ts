/** What keeps the server from its work, asked now and then while somebody looks. */

import { onScopeDispose, readonly, ref, type Ref } from 'vue';
import { api } from '../api/client';
import type { Readiness } from '../api/model';

/** Somebody should know of a full disk about as soon as of a silent device. */
const ASK_MS = 15_000;

/** Null while nothing is wrong, or nobody could be asked: that the server is away the live feed says. */
export function useServerTrouble(): Readonly<Ref<Readiness | null>> {
  const trouble = ref<Readiness | null>(null);
  async function ask(): Promise<void> {
    if (document.hidden) return;
    try {
      const said = await api.readiness();
      trouble.value = said.ready && said.code === null ? null : said;
    } catch {
      trouble.value = null;
    }
  }
  function askNow(): void {
    void ask();
  }
  const timer = setInterval(askNow, ASK_MS);
  document.addEventListener('visibilitychange', askNow);
  onScopeDispose(() => {
    clearInterval(timer);
    document.removeEventListener('visibilitychange', askNow);
  });
  askNow();
  return readonly(trouble);
}
