/** The devices to choose one of, by name. */

import { computed, onMounted, type ComputedRef } from 'vue';
import { fleet, loadFleet } from '../state/fleet';

export function useDeviceOptions(): ComputedRef<{ value: string; text: string }[]> {
  onMounted(() => {
    if (fleet.loaded.value) return;
    loadFleet().catch(() => {
      // Only this choice needs it; what the view itself asks for says what is wrong.
    });
  });
  return computed(() => {
    void fleet.shape.value;
    const all = [...fleet.devices.value.values()].map((device) => ({ value: String(device.id), text: device.name }));
    return all.sort((a, b) => a.text.localeCompare(b.text, undefined, { numeric: true }));
  });
}
