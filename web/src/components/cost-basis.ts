import { t, type TextKey } from '../i18n';
import { listText } from '../lib/format';
import { language } from '../state/preferences';

const BASIS: Record<string, TextKey> = {
  reported: 'tokens.basis_reported',
  price_table: 'tokens.basis_table',
  default: 'tokens.basis_default',
  unknown: 'tokens.basis_unknown',
};

/** What a cost is based on, as a few words; nothing where there is no usage. */
export function basisText(basis: readonly string[]): string {
  return listText(
    basis.map((word) => (BASIS[word] ? t(BASIS[word]) : word.replaceAll('_', ' '))),
    language.value,
  );
}

/** The same from the parts of a cost. */
export function basisOf(cost: { reported_usd: number; price_table_usd: number; default_usd: number; unknown_tokens: number }): string[] {
  return [
    ['reported', cost.reported_usd] as const,
    ['price_table', cost.price_table_usd] as const,
    ['default', cost.default_usd] as const,
    ['unknown', cost.unknown_tokens] as const,
  ]
    .filter(([, amount]) => amount > 0)
    .map(([word]) => word);
}
