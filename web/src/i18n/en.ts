import { common } from './en/common';
import { devices } from './en/devices';
import { pages } from './en/pages';

export const en = { ...common, ...devices, ...pages };
