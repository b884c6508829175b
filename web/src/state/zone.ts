/** The time zone whose days are shown: this browser's. */

import { ref } from 'vue';

export const zone = ref(Intl.DateTimeFormat().resolvedOptions().timeZone);
