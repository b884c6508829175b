/** Language and theme: chosen from the browser, changed by the person, kept in this browser. */

import { ref, watchEffect } from 'vue';
import type { Language } from '../lib/format';

export const LANGUAGES = ['en', 'zh'] as const;
export const THEMES = ['system', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];

// `public/early.js` reads the same two keys before the first paint.
const LANGUAGE_KEY = 'ocw.language';
const THEME_KEY = 'ocw.theme';
const COLUMNS_KEY = 'ocw.columns';
const FORM_KEY = 'ocw.list';

export function languageFrom(stored: string | null, browser: readonly string[]): Language {
  const known = LANGUAGES.find((language) => language === stored);
  if (known) return known;
  for (const tag of browser) {
    const match = LANGUAGES.find((language) => tag.toLowerCase().startsWith(language));
    if (match) return match;
  }
  return 'en';
}

export const language = ref<Language>(languageFrom(read(LANGUAGE_KEY), navigator.languages));
export const theme = ref<Theme>(THEMES.find((known) => known === read(THEME_KEY)) ?? 'system');

/** Columns of the device table as the address bar writes them; null: the usual ones. */
export const columnsKept = ref<string | null>(read(COLUMNS_KEY));
export const listForm = ref<'table' | 'cards'>(read(FORM_KEY) === 'cards' ? 'cards' : 'table');

const narrowWindow = window.matchMedia('(max-width: 720px)');
/** The window is as narrow as a phone. */
export const narrow = ref(narrowWindow.matches);
narrowWindow.addEventListener('change', () => (narrow.value = narrowWindow.matches));

/** Whether the page is dark right now, whoever decided it. Charts follow this. */
export const dark = ref(false);

const systemDark = window.matchMedia('(prefers-color-scheme: dark)');

/** Paper is white, whatever the screen is. */
let printing = false;

function applyTheme(): void {
  const root = document.documentElement;
  const applied: Theme = printing ? 'light' : theme.value;
  if (applied === 'system') delete root.dataset['theme'];
  else root.dataset['theme'] = applied;
  dark.value = applied === 'dark' || (applied === 'system' && systemDark.matches);
}

function setPrinting(now: boolean): void {
  printing = now;
  applyTheme();
}

export function startPreferences(): void {
  systemDark.addEventListener('change', applyTheme);
  window.addEventListener('beforeprint', () => setPrinting(true));
  window.addEventListener('afterprint', () => setPrinting(false));
  watchEffect(applyTheme, { flush: 'sync' });
  watchEffect(() => (document.documentElement.lang = language.value === 'zh' ? 'zh-CN' : 'en'));
}

export function chooseLanguage(chosen: Language): void {
  language.value = chosen;
  write(LANGUAGE_KEY, chosen);
}

export function chooseTheme(chosen: Theme): void {
  theme.value = chosen;
  write(THEME_KEY, chosen);
}

export function chooseColumns(chosen: string | null): void {
  columnsKept.value = chosen;
  write(COLUMNS_KEY, chosen ?? '');
}

export function chooseListForm(chosen: 'table' | 'cards'): void {
  listForm.value = chosen;
  write(FORM_KEY, chosen);
}

function read(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function write(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Storage is switched off: the choice holds until the page is closed.
  }
}
