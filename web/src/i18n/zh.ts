import { common } from './zh/common';
import { devices } from './zh/devices';
import { pages } from './zh/pages';

export const zh = { ...common, ...devices, ...pages };
