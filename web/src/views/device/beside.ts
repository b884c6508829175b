/** What stands beside a device's figures in its charts: the tokens it used, and what happened to it. */

import { computed, ref, shallowRef, type ComputedRef, type Ref } from 'vue';
import type { RouteLocationRaw } from 'vue-router';
import { api } from '../../api/client';
import type { Device, UsageSteps } from '../../api/model';
import { MARK_METRICS, bursts, restarts, type Burst, type Mark } from '../../charts/marks';
import type { Span, Table } from '../../charts/table';
import { TOKENS_MS_MIN, tokenSteps, tokensTable } from '../../charts/tokens';
import { t } from '../../i18n';
import { span as spanText } from '../../lib/format';
import { useLoad } from '../../state/load';
import { language } from '../../state/preferences';

/** Steps in which errors are counted over a range. */
const COUNT_STEPS = 60;
/** Tokens and errors come slowly: asked again no sooner than this, unless the range is another. */
const AGE_MS_MAX = 60_000;

export interface Beside {
  /** Null where the device has used none, or the range is too short to show any. */
  tokens: ComputedRef<{ table: Table; cost_usd: number } | null>;
  marks: ComputedRef<readonly Mark[]>;
  lead(mark: Mark): RouteLocationRaw;
  /** To be called whenever the figures are fetched. */
  fetch(span: Span): void;
}

export function useBeside(device: () => Device, table: Readonly<Ref<Table>>, events: () => readonly Mark[]): Beside {
  const steps = shallowRef<UsageSteps | null>(null);
  const errors = shallowRef<readonly Burst[]>([]);
  const asked = ref<Span | null>(null);
  let fetched_ms = 0;

  // Both are an extra: the charts say what is wrong when the server does not answer.
  const usage = useLoad(async (signal) => {
    const span = asked.value;
    if (span === null) return;
    const wanted = span.to_ms - span.from_ms >= TOKENS_MS_MIN && (device().usage?.total.tokens ?? 0) > 0;
    steps.value = wanted ? await api.usageSteps({ device: device().id, ...tokenSteps(span) }, signal) : null;
  });
  const counts = useLoad(async (signal) => {
    if (asked.value === null) return;
    errors.value = bursts(await api.logCounts({ device: device().id, level: 'error', ...asked.value, points: COUNT_STEPS }, signal));
  });

  const marks = computed((): readonly Mark[] => [...events(), ...restartMarks(table.value), ...errors.value.map(burstMark)]);

  return {
    tokens: computed(() => (steps.value === null ? null : { table: tokensTable(steps.value), cost_usd: steps.value.cost_usd.reduce((sum, usd) => sum + usd, 0) })),
    marks,
    lead(mark) {
      const { id } = device();
      if (mark.kind === 'error_burst') return { name: 'device', params: { id, tab: 'logs' }, query: { level: 'error', at: String(mark.until_ms ?? mark.t_ms) } };
      if (mark.kind === 'restart' || mark.kind === 'gateway_restart') return { name: 'device', params: { id, tab: 'logs' }, query: { at: String(mark.t_ms) } };
      return { name: 'device', params: { id, tab: 'events' } };
    },
    fetch(span) {
      const length = (one: Span): number => one.to_ms - one.from_ms;
      const moved = asked.value === null || length(span) !== length(asked.value) || Math.abs(span.to_ms - asked.value.to_ms) > AGE_MS_MAX;
      if (!moved && performance.now() - fetched_ms < AGE_MS_MAX) return;
      asked.value = span;
      fetched_ms = performance.now();
      void usage.run();
      void counts.run();
    },
  };
}

function restartMarks(table: Table): Mark[] {
  const kinds = { uptime_s: 'restart', gateway_uptime_s: 'gateway_restart' } as const;
  return MARK_METRICS.flatMap((metric) =>
    restarts(table, metric).map((t_ms) => ({ key: `${metric} ${t_ms}`, t_ms, kind: kinds[metric], text: t(`event.${kinds[metric]}`) })),
  );
}

function burstMark(burst: Burst): Mark {
  const text = t('event.error_burst', { n: burst.errors, span: spanText(burst.to_ms - burst.from_ms, language.value) });
  return { key: `burst ${burst.from_ms}`, t_ms: burst.from_ms, until_ms: burst.to_ms, kind: 'error_burst', text };
}
