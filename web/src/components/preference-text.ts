import type { TextKey } from '../i18n';
import type { Language } from '../lib/format';
import type { Theme } from '../state/preferences';

/** Each language in its own words: whoever cannot read the page must find theirs. */
export const LANGUAGE_NAMES: Record<Language, string> = { en: 'English', zh: '中文' };
export const THEME_NAMES: Record<Theme, TextKey> = { system: 'app.theme_system', light: 'app.theme_light', dark: 'app.theme_dark' };
