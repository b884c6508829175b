import { describe, expect, it } from 'vitest';
import { faultsOf, fieldsOf, tagsOf } from './device-form';

describe('tags', () => {
  it('are parted by commas of either script, trimmed, and unique', () => {
    expect(tagsOf(' home, nas，上海、nas ,, ')).toEqual(['home', 'nas', '上海']);
  });
});

describe('the device form', () => {
  const fields = (name: string, tags = '', notes = ''): ReturnType<typeof fieldsOf> => fieldsOf({ name, type: 'nas', tags, notes });

  it.each([
    ['', 'name_missing'],
    ['   ', 'name_missing'],
    ['a\u0007b', 'name_bad'],
    ['🦞'.repeat(65), 'name_bad'],
    ['🦞'.repeat(64), undefined],
    ['<img src=x onerror=alert(1)>', undefined],
  ])('name %j: %s', (name, fault) => expect(faultsOf(fields(name)).name).toBe(fault));

  it('has at most 16 tags of 32 characters', () => {
    const many = (n: number): string => Array.from({ length: n }, (_, index) => `t${index}`).join();
    expect(faultsOf(fields('a', many(16))).tags).toBeUndefined();
    expect(faultsOf(fields('a', many(17))).tags).toBe('tags_bad');
    expect(faultsOf(fields('a', 'x'.repeat(33))).tags).toBe('tags_bad');
  });

  it('has notes of at most 2000 characters', () => {
    expect(faultsOf(fields('a', '', 'n'.repeat(2001)))).toEqual({ notes: 'notes_bad' });
  });
});
