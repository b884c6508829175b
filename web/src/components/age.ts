import { t } from '../i18n';
import { coarseSpan, type Language } from '../lib/format';

/** Younger than this is "just now": a device that reports every ten seconds, as agents do, should not flicker. */
const FRESH_MS = 12_000;

export function ageText(at: number | null, now: number, language: Language): string {
  if (at === null) return t('overview.never');
  const age = now - at;
  return age < FRESH_MS ? t('overview.now') : t('overview.ago', { span: coarseSpan(age, language) });
}
