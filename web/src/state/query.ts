/** The part of the address after the question mark: what of a view can be shared by link. */

import { useRoute } from 'vue-router';
import { router } from '../router';

export interface Query {
  /** Empty where the address does not say it, or says it twice. */
  text(name: string): string;
  /** Changes parts and keeps the others; null or an empty text takes one away. */
  set(change: Readonly<Record<string, string | null>>): void;
}

export function useQuery(): Query {
  const route = useRoute();
  return {
    text(name) {
      const value = route.query[name];
      return typeof value === 'string' ? value : '';
    },
    set(change) {
      const kept = Object.entries({ ...route.query, ...change }).filter(([, value]) => value);
      void router.replace({ query: Object.fromEntries(kept) });
    },
  };
}
