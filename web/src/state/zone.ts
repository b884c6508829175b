/** The time zone whose days are shown: the one chosen for this server, else this browser's. */

import { ref } from 'vue';
import { api } from '../api/client';

export const browserZone = Intl.DateTimeFormat().resolvedOptions().timeZone;
export const zone = ref(browserZone);

export function takeZone(settings: { time_zone: string; time_zone_chosen: boolean }): void {
  zone.value = settings.time_zone_chosen ? settings.time_zone : browserZone;
}

/** Asks the server once somebody is signed in. */
export async function loadZone(): Promise<void> {
  try {
    takeZone(await api.settings());
  } catch {
    // The browser's zone holds; whatever is wrong the views say.
  }
}
