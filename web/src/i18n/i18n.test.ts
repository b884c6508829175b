import { describe, expect, it } from 'vitest';
import { createI18n } from 'vue-i18n';
import { en } from './en';
import { zh } from './zh';

function flat(messages: Record<string, Record<string, string>>): Map<string, string> {
  const out = new Map<string, string>();
  for (const [view, texts] of Object.entries(messages)) for (const [key, text] of Object.entries(texts)) out.set(`${view}.${key}`, text);
  return out;
}

const english = flat(en);
const chinese = flat(zh);
const holes = (text: string | undefined): string[] => [...new Set((text ?? '').match(/\{\w+\}/g))].sort();

describe('the two languages', () => {
  it('have the same texts', () => expect([...chinese.keys()].sort()).toEqual([...english.keys()].sort()));

  it('fill the same holes', () => {
    for (const [key, text] of english) expect([key, holes(chinese.get(key))]).toEqual([key, holes(text)]);
  });

  it('have as many plural forms where there are any', () => {
    for (const [key, text] of english) expect([key, chinese.get(key)?.split('|').length]).toEqual([key, text.split('|').length]);
  });

  it('leave no text empty', () => {
    for (const [key, text] of [...english, ...chinese]) expect([key, text.trim() !== '']).toEqual([key, true]);
  });

  it('compile without eval', () => {
    const real = globalThis.Function;
    globalThis.Function = (() => {
      throw new Error('eval');
    }) as unknown as FunctionConstructor;
    try {
      const { global } = createI18n({ legacy: false, locale: 'en', messages: { en, zh } });
      for (const locale of ['en', 'zh'] as const) {
        global.locale.value = locale;
        for (const key of english.keys()) expect(global.t(key, { n: 2, name: 'x' }, 2)).not.toBe(key);
      }
      expect(global.t('logs.new_lines', { n: 1 }, 1)).toBe('1 条新日志');
      global.locale.value = 'en';
      expect(global.t('logs.new_lines', { n: 1 }, 1)).toBe('1 new line');
      expect(global.t('logs.new_lines', { n: 3 }, 3)).toBe('3 new lines');
    } finally {
      globalThis.Function = real;
    }
  });
});
