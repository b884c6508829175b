/** What a row and a card say about a device, worked out once for both. */

import { computed, type ComputedRef } from 'vue';
import type { Device } from '../api/model';
import { t } from '../i18n';
import { bytes, clock } from '../lib/format';
import { fullestDisk, memoryPercent } from '../lib/metric';
import { language } from '../state/preferences';

export interface DeviceFigures {
  /** The values are old: the device does not report. */
  stale: boolean;
  staleTitle: string | undefined;
  memory: number | null;
  memoryDetail: string | undefined;
  disk: number | null;
  diskDetail: string | undefined;
}

export function useDeviceFigures(device: () => Device): ComputedRef<DeviceFigures> {
  return computed(() => {
    const { latest, state, latest_ms } = device();
    const stale = state === 'offline';
    const disk = fullestDisk(latest);
    const amount = usedOf(disk?.used, disk?.total);
    return {
      stale,
      staleTitle: stale && latest_ms !== null ? t('overview.as_of', { time: clock(latest_ms, language.value) }) : undefined,
      memory: memoryPercent(latest),
      memoryDetail: usedOf(latest['memory_used'], latest['memory_total']),
      disk: disk?.percent ?? null,
      diskDetail: disk?.mount ? [disk.mount, amount].filter(Boolean).join(': ') : amount,
    };
  });
}

function usedOf(used: number | null | undefined, total: number | null | undefined): string | undefined {
  if (used === null || used === undefined) return undefined;
  return total ? t('device.memory_of', { used: bytes(used), total: bytes(total) }) : bytes(used);
}
