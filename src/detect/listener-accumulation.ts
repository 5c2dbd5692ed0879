/** `listenerAccumulation`: listeners of an emitter beyond a multiple of the connections, and growing. */

import { formatCount } from '../core/format.ts';
import { LEAKS } from '../kinds/index.ts';
import type { Verdict } from '../types/index.ts';
import { CONNECTION_DELAY_MS } from './connection-changes.ts';
import type { CountWindow, Growth } from './count-growth.ts';
import { growthEvidence, noGrowth, withLeakRate } from './count-text.ts';
import { found, insufficientData, noFinding, type Detector } from './detector.ts';
import type { Series } from './sample-row.ts';

const NAME = 'listeners';
const { thresholds } = LEAKS['listener-accumulation'];
/** A ratio to fewer connections says nothing: every program has some listeners of its own. */
const MIN_CONNECTIONS = 10;
/** An event with this share of the growth of its emitter names the leak. Otherwise the event names differ: `user:<id>`. */
const MIN_SHARE_OF_EMITTER = 0.6;

interface GrowingSeries {
  readonly series: Series;
  readonly growth: Growth;
}

export const listenerAccumulation: Detector = {
  name: NAME,
  evaluate({ history, counts }) {
    if (counts.missing !== null) return [insufficientData(NAME, counts.missing)];
    const rule = {
      minRise: counts.minRise(thresholds),
      perConnection: true,
      maxDelayMs: () => CONNECTION_DELAY_MS,
    };
    const verdicts: Verdict[] = [];
    for (const [emitter, listed] of byEmitter(history.series)) {
      const growing = listed.flatMap((series): GrowingSeries[] => {
        const growth = counts.growthOf(series.column, rule);
        return growth === null || growth.answer === 'ok' ? [] : [{ series, growth }];
      });
      const worst = worstOf(growing);
      if (worst !== null) verdicts.push(verdictOn(emitter, worst, counts));
    }
    return verdicts.length === 0
      ? [noFinding(NAME, 'ok', 'No growth of listeners beyond what the connections explain')]
      : verdicts;
  },
};

function byEmitter(all: Iterable<Series>): Map<string, Series[]> {
  const emitters = new Map<string, Series[]>();
  for (const series of all) {
    if (series.type !== 'listeners') continue;
    const listed = emitters.get(series.name);
    if (listed === undefined) emitters.set(series.name, [series]);
    else listed.push(series);
  }
  return emitters;
}

/** The event that grows most, or the sum over the emitter where no event has most of the growth. */
function worstOf(growing: readonly GrowingSeries[]): GrowingSeries | null {
  const found = growing.filter(({ growth }) => growth.answer === 'found');
  const candidates = found.length > 0 ? found : growing;
  const sum = candidates.find(({ series }) => series.event === '*');
  const event = candidates
    .filter(({ series }) => series.event !== '*')
    .toSorted((a, b) => b.growth.rise - a.growth.rise)[0];
  if (event === undefined) return sum ?? null;
  return sum === undefined || event.growth.rise >= MIN_SHARE_OF_EMITTER * sum.growth.rise ? event : sum;
}

function verdictOn(emitter: string, { series, growth }: GrowingSeries, counts: CountWindow): Verdict {
  const { perConnection, criticalPerConnection, leakedPerClosed } = thresholds;
  const connections = Math.max(counts.meanConnections, counts.connectionsNow, MIN_CONNECTIONS);
  const ratio = growth.now / connections;
  const evidence = [
    {
      name: 'listeners_per_connection',
      value: ratio,
      unit: 'listeners',
      threshold: perConnection.value,
    },
    ...growthEvidence('wsguard_emitter_listeners', growth, {
      minRise: counts.minRise(thresholds),
      unit: 'listeners',
    }),
  ];
  const place = series.event === '*' ? `all events of ${emitter}` : `'${series.event}' of ${emitter}`;
  const title = withLeakRate(`${formatCount(growth.now)} listeners on ${place}`, growth, counts);
  if (growth.answer !== 'found') {
    const minText = `${formatCount(counts.minRise(thresholds))} listeners`;
    return noGrowth(NAME, growth, title, { evidence, minText });
  }
  if (ratio < perConnection.value && (growth.perClosed ?? 0) < leakedPerClosed.value) {
    const because = `${title}; fewer than ${perConnection.value} listeners per connection`;
    return noFinding(NAME, 'inconclusive', because, { evidence });
  }
  return found(NAME, {
    kind: 'listener-accumulation',
    subject: `${emitter} ${series.event ?? '*'}`,
    severity: ratio >= criticalPerConnection.value ? 'critical' : 'warning',
    title,
    evidence,
  });
}
