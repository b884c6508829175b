/** What a button sends to the server: while it is under way, and what went wrong, in words. */

import { ref, type Ref } from 'vue';
import { asApiError } from '../state/load';
import { errorText } from './error-text';

export interface Act {
  busy: Ref<boolean>;
  problem: Ref<string | null>;
  run(work: () => Promise<void>): Promise<void>;
}

export function useAct(): Act {
  const busy = ref(false);
  const problem = ref<string | null>(null);
  return {
    busy,
    problem,
    async run(work) {
      busy.value = true;
      problem.value = null;
      try {
        await work();
      } catch (error) {
        problem.value = errorText(asApiError(error));
      } finally {
        busy.value = false;
      }
    },
  };
}
