/** Fetching for a view: loading, the value, or what went wrong; a newer call replaces the one under way. */

import { onScopeDispose, ref, shallowRef, type Ref, type ShallowRef } from 'vue';
import { ApiError } from '../api/client';

export interface Load<T> {
  data: ShallowRef<T | null>;
  error: ShallowRef<ApiError | null>;
  loading: Ref<boolean>;
  /** Fetches again. What is shown stays until the answer is there. */
  run(): Promise<void>;
}

export function useLoad<T>(fetch: (signal: AbortSignal) => Promise<T>): Load<T> {
  const data = shallowRef<T | null>(null);
  const error = shallowRef<ApiError | null>(null);
  const loading = ref(false);
  let controller: AbortController | null = null;

  async function run(): Promise<void> {
    controller?.abort();
    const mine = new AbortController();
    controller = mine;
    loading.value = true;
    try {
      const answer = await fetch(mine.signal);
      if (mine.signal.aborted) return;
      data.value = answer;
      error.value = null;
    } catch (caught) {
      if (mine.signal.aborted) return;
      error.value = asApiError(caught);
    } finally {
      if (controller === mine) loading.value = false;
    }
  }

  onScopeDispose(() => controller?.abort());
  return { data, error, loading, run };
}

export function asApiError(caught: unknown): ApiError {
  return caught instanceof ApiError ? caught : new ApiError(0, 'page', String(caught));
}
