/** Short notes at the edge of the page: something was done, or could not be. */

import { readonly, ref } from 'vue';

const SHOWN_MS = 6_000;
/** More at once would cover the page; the oldest goes. */
const TOASTS_MAX = 4;

export interface Toast {
  id: number;
  text: string;
  mood: 'good' | 'bad';
}

const list = ref<Toast[]>([]);
let lastId = 0;

export const toasts = readonly(list);

export function toast(text: string, mood: Toast['mood'] = 'good'): void {
  lastId += 1;
  const id = lastId;
  list.value = [...list.value, { id, text, mood }].slice(-TOASTS_MAX);
  setTimeout(() => dismiss(id), SHOWN_MS);
}

export function dismiss(id: number): void {
  list.value = list.value.filter((one) => one.id !== id);
}
