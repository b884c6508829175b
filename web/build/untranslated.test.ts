/** Finds words that a person would read in one language only. */

import { readFile, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parse } from 'vue/compiler-sfc';
import { describe, expect, it } from 'vitest';
import { en } from '../src/i18n/en.ts';
import { zh } from '../src/i18n/zh.ts';

const SOURCE = resolve(import.meta.dirname, '../src');

/** Names that are the same in Chinese. */
const NAMES = /CPU|NAS|VPS|Linux|Docker|macOS|Windows|OpenClaw Watch|OpenClaw|Token|API|CSV|PNG|GB|d\b/gi;
const CHINESE = /\p{Script=Han}/u;
const WORD = /[\p{L}]{2,}/u;

const CODE: ReadonlySet<string> = new Set(['pre', 'code', 'kbd']);

/** Attributes whose text a person reads or hears. */
const SPOKEN = new Set(['aria-label', 'title', 'placeholder', 'alt', 'label', 'hint', 'lead', 'summary']);

async function sources(ending: string): Promise<[path: string, text: string][]> {
  const names = await readdir(SOURCE, { recursive: true });
  const paths = names.filter((name) => name.endsWith(ending) && !name.endsWith('.test.ts') && !name.startsWith('i18n'));
  return await Promise.all(paths.map(async (name): Promise<[string, string]> => [name, await readFile(join(SOURCE, name), 'utf8')]));
}

/** A node of a template, as much of it as is looked at. */
interface TemplateNode {
  /** 1: element, 2: text; of attributes 6: one with a fixed value. */
  type: number;
  tag?: string;
  content?: unknown;
  props?: { type: number; name: string; value?: { content: string } }[];
  children?: TemplateNode[];
}

/** Literal words in the templates of a component, with what stands around them. */
function literals(source: string): string[] {
  const found: string[] = [];
  const visit = (nodes: readonly TemplateNode[]): void => {
    for (const node of nodes) {
      if (node.type === 2 && typeof node.content === 'string' && WORD.test(node.content)) found.push(node.content.trim());
      // Code and keys are the same in every language.
      if (node.type !== 1 || CODE.has(node.tag ?? '')) continue;
      for (const prop of node.props ?? []) {
        if (prop.type === 6 && SPOKEN.has(prop.name) && prop.value && WORD.test(prop.value.content)) found.push(`${prop.name}="${prop.value.content}"`);
      }
      visit(node.children ?? []);
    }
  };
  const root = parse(source, { ignoreEmpty: false }).descriptor.template?.ast as unknown as TemplateNode | undefined;
  visit(root?.children ?? []);
  return found;
}

describe('every text', () => {
  it('of the Chinese page is Chinese', () => {
    const untranslated: string[] = [];
    for (const [view, texts] of Object.entries(zh)) {
      for (const [key, text] of Object.entries(texts)) {
        const words = text.replaceAll(/\{\w+\}/g, '').replaceAll(NAMES, '');
        if (!CHINESE.test(text) && WORD.test(words)) untranslated.push(`${view}.${key}: ${text}`);
      }
    }
    expect(untranslated).toEqual([]);
  });

  it('in a template comes from the two languages', async () => {
    const found: string[] = [];
    for (const [path, source] of await sources('.vue')) for (const text of literals(source)) found.push(`${path}: ${text}`);
    expect(found).toEqual([]);
  });

  it('is found by this test', () => {
    expect(literals('<template><p title="Bad">x {{ y }}</p><b>Hello</b><kbd>Esc</kbd></template>')).toEqual(['title="Bad"', 'Hello']);
  });

  it('is used somewhere', async () => {
    const all = [...(await sources('.vue')), ...(await sources('.ts'))].map(([, text]) => text).join('\n');
    // `t(`state.${state}`)` uses all that begin so.
    const prefixes = [...all.matchAll(/`(\w+\.\w*)\$\{/g)].map(([, prefix]) => prefix ?? '');
    const unused: string[] = [];
    for (const [view, texts] of Object.entries(en)) {
      for (const key of Object.keys(texts)) {
        const name = `${view}.${key}`;
        if (!all.includes(`'${name}'`) && !prefixes.some((prefix) => name.startsWith(prefix))) unused.push(name);
      }
    }
    expect(unused).toEqual([]);
  });
});
