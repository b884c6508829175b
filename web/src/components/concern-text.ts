import type { Values } from '../api/model';
import { t } from '../i18n';
import { concernsOf } from '../lib/concerns';
import { bytes, percent, span, type Language } from '../lib/format';

/** Quiet troubles of a device in words, the most pressing first. */
export function concernTexts(latest: Values, language: Language): string[] {
  const { counts, clock_ms, spool_bytes, disk, memory } = concernsOf(latest);
  const texts: string[] = [];
  if (disk !== null) texts.push(disk.mount === null ? t('concern.disk_main', { percent: percent(disk.percent) }) : t('concern.disk', { disk: disk.mount, percent: percent(disk.percent) }));
  if (memory !== null) texts.push(t('concern.memory', { percent: percent(memory) }));
  texts.push(...counts.map(({ concern, n }) => t(`concern.${concern}`, { n })));
  if (clock_ms !== null) texts.push(t(clock_ms > 0 ? 'concern.clock_behind' : 'concern.clock_ahead', { span: span(Math.abs(clock_ms), language) }));
  if (spool_bytes !== null) texts.push(t('concern.spool', { bytes: bytes(spool_bytes) }));
  return texts;
}
