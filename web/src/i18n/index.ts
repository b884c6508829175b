/** Texts of the page in both languages. The Chinese ones have the type of the English ones: a missing text does not compile. */

import { watch } from 'vue';
import { createI18n } from 'vue-i18n';
import { language } from '../state/preferences';
import { en } from './en';
import type { Translated } from './translated';
import { zh } from './zh';

export type Messages = Translated<typeof en>;

/** `'overview.title'` and so on: a text that does not exist does not compile. */
export type TextKey = { [View in keyof Messages]: `${View}.${Extract<keyof Messages[View], string>}` }[keyof Messages];

export const i18n = createI18n({
  legacy: false,
  locale: language.value,
  fallbackLocale: 'en',
  messages: { en, zh },
});

watch(language, (chosen) => (i18n.global.locale.value = chosen));

/** The text in the language of the page. With `n` the plural form is chosen by it. */
export function t(key: TextKey, named: Record<string, string | number> = {}): string {
  const n = named['n'];
  return typeof n === 'number' ? i18n.global.t(key, named, n) : i18n.global.t(key, named);
}
