/** What is wrong with the server, in the reader's language. */

import type { Readiness } from '../api/model';
import { t } from '../i18n';

const KNOWN = {
  disk_full: 'server.disk_full',
  write_failed: 'server.write_failed',
  thread_ended: 'server.thread_ended',
  stopping: 'server.stopping',
  sealing: 'server.sealing',
  recording: 'server.recording',
} as const;

export function serverTroubleText(trouble: Readiness): string {
  const key = Object.entries(KNOWN).find(([code]) => code === trouble.code)?.[1];
  const what = key === undefined ? (trouble.reason ?? '') : t(key);
  return t(trouble.ready ? 'server.failing' : 'server.refusing', { what });
}
