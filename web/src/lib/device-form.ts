/** What a person typed into the device form, and what is wrong with it. The server has the last word. */

import type { DeviceFields } from '../api/client';
import type { DeviceType } from '../api/model';

const NAME_CHARS_MAX = 64;
const TAGS_MAX = 16;
const TAG_CHARS_MAX = 32;
const NOTES_CHARS_MAX = 2000;

export interface DeviceForm {
  name: string;
  type: DeviceType;
  tags: string;
  notes: string;
}

export type FormField = 'name' | 'tags' | 'notes';
export type FormFault = 'name_missing' | 'name_bad' | 'name_taken' | 'tags_bad' | 'notes_bad';

export function fieldsOf(form: DeviceForm): DeviceFields {
  return { name: form.name.trim(), device_type: form.type, tags: tagsOf(form.tags), notes: form.notes.trim() };
}

/** Commas of either script part tags; the same tag twice is one. */
export function tagsOf(text: string): string[] {
  const parts = text.split(/[,，、;\n]/).map((part) => part.trim());
  return [...new Set(parts.filter((part) => part !== ''))];
}

export function faultsOf(fields: DeviceFields): Partial<Record<FormField, FormFault>> {
  const faults: Partial<Record<FormField, FormFault>> = {};
  if (fields.name === '') faults.name = 'name_missing';
  else if (length(fields.name) > NAME_CHARS_MAX || /\p{Cc}/u.test(fields.name)) faults.name = 'name_bad';
  if (fields.tags.length > TAGS_MAX || fields.tags.some((tag) => length(tag) > TAG_CHARS_MAX)) faults.tags = 'tags_bad';
  if (length(fields.notes) > NOTES_CHARS_MAX) faults.notes = 'notes_bad';
  return faults;
}

/** Characters as the server counts them, not UTF-16 units. */
function length(text: string): number {
  return [...text].length;
}
