import { describe, expect, it, vi } from 'vitest';
import { en } from '../i18n/en';
import { gatewayText, gatewaysText, reasonText, usageText } from './reason';

// The page's own texts need a browser; these are the same.
vi.mock('../i18n', () => ({
  t: (key: string, named: Record<string, string> = {}) => {
    const [view = '', name = ''] = key.split('.');
    const text = (en as unknown as Record<string, Record<string, string>>)[view]?.[name] ?? key;
    return text.replace(/\{(\w+)\}/g, (_, hole: string) => named[hole] ?? '');
  },
}));

describe('what an agent says', () => {
  it('is told of one gateway and of several', () => {
    expect(gatewayText({ gateway: 'degraded', gateway_failing: 'agent_database_main' })).toBe(`${en.gateway.degraded}: agent database main`);
    expect(gatewaysText({ gateway: 'running' })).toBeNull();
    expect(gatewaysText({ gateway: 'stopped', gateways: '1_of_2_running' })).toBe('1 of 2 run');
    expect(gatewaysText({ gateways: 'a_word_of_later' })).toBeNull();
  });

  it('is told of usage with its reason, and as it came where the word is of a newer agent', () => {
    expect(usageText({ usage: 'unreadable', usage_why: 'gone' })).toBe(`${en.usage.unreadable}: ${en.usage.why_gone}`);
    expect(usageText({ usage: 'a_word_of_later' })).toBe('a word of later');
  });

  it('tells a gateway that cannot start from one that crashed', () => {
    const reason = (end: string): string | null => reasonText({ state: 'degraded', reason: 'gateway_crashed', states: { gateway_end: end } });
    expect([reason('killed'), reason('start_failed')]).toEqual([en.reason.gateway_crashed, en.reason.gateway_start_failed]);
  });
});
