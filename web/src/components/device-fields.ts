/** The form of a device on its way to the server: what was typed, what is wrong with it, what the server says. */

import { ref, type Ref } from 'vue';
import type { DeviceFields } from '../api/client';
import { faultsOf, fieldsOf, type DeviceForm, type FormFault, type FormField } from '../lib/device-form';
import { asApiError } from '../state/load';
import { errorText } from './error-text';

export interface DeviceFieldsForm {
  form: Ref<DeviceForm>;
  faults: Ref<Partial<Record<FormField, FormFault>>>;
  problem: Ref<string | null>;
  busy: Ref<boolean>;
  /** Sends what was typed, unless something is wrong with it. */
  submit(): Promise<void>;
}

/** What the server finds wrong with a field. */
const BAD: Record<FormField, FormFault> = { name: 'name_bad', tags: 'tags_bad', notes: 'notes_bad' };

export function useDeviceFields(typed: DeviceForm, send: (fields: DeviceFields) => Promise<void>): DeviceFieldsForm {
  const form = ref<DeviceForm>(typed);
  const faults = ref<Partial<Record<FormField, FormFault>>>({});
  const problem = ref<string | null>(null);
  const busy = ref(false);
  async function submit(): Promise<void> {
    const fields = fieldsOf(form.value);
    problem.value = null;
    faults.value = faultsOf(fields);
    if (Object.keys(faults.value).length > 0) return;
    busy.value = true;
    try {
      await send(fields);
    } catch (caught) {
      const error = asApiError(caught);
      const field = (['name', 'tags', 'notes'] as const).find((name) => name === error.field);
      if (error.code === 'conflict') faults.value = { name: 'name_taken' };
      else if (error.code === 'invalid' && field !== undefined) faults.value = { [field]: BAD[field] };
      else problem.value = errorText(error);
    } finally {
      busy.value = false;
    }
  }
  return { form, faults, problem, busy, submit };
}
