import type { ApiError } from '../api/client';
import { t, type TextKey } from '../i18n';

const KNOWN: Record<string, TextKey> = {
  network: 'error.network',
  unreadable: 'error.unreadable',
  forbidden: 'error.forbidden',
  csrf: 'error.csrf',
  not_found: 'error.not_found',
  too_many_tries: 'error.too_many_tries',
  unavailable: 'error.unavailable',
  internal: 'error.internal',
  page: 'error.page',
};

/** What to tell a person: our words for what we know, the server's sentence for the rest. */
export function errorText(error: ApiError): string {
  const key = KNOWN[error.code];
  return key ? t(key) : error.message;
}
