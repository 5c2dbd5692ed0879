/** `listenerAccumulation`: listeners of an emitter beyond a multiple of the connections, and growing. */

import { formatCount } from '../core/format.ts';
import { LEAKS } from '../kinds/index.ts';
import type { Verdict } from '../types/index.ts';
import { CONNECTION_DELAY_MS } from './connection-changes.ts';
import type { CountWindow, Growth, GrowthRule } from './count-growth.ts';
import { growthEvidence, noGrowth, withLeakRate } from './count-text.ts';
import { found, insufficientData, noFinding, type Detector, type View } from './detector.ts';
import type { Series } from './sample-row.ts';

const NAME = 'listeners';
const { thresholds } = LEAKS['listener-accumulation'];
/** A ratio to fewer connections says nothing: every program has some listeners of its own. */
const MIN_CONNECTIONS = 10;
/** An event with this share of the growth of its emitter names the leak. Otherwise the event names differ: `user:<id>`. */
const MIN_SHARE_OF_EMITTER = 0.6;
/** More names than a title can carry. */
const MAX_NAMED_EVENTS = 3;

interface GrowingSeries {
  readonly series: Series;
  readonly growth: Growth;
  /** On the sum over an emitter: the events that grow in step and have most of its growth. */
  readonly events?: readonly string[];
}

export const listenerAccumulation: Detector = {
  name: NAME,
  evaluate(view) {
    const { history, counts } = view;
    if (counts.missing !== null) return [insufficientData(NAME, counts.missing)];
    const rule = {
      minRise: counts.minRise(thresholds),
      perConnection: true,
      maxDelayMs: () => CONNECTION_DELAY_MS,
      hasSlowWindow: true,
      hasLongWindow: true,
    };
    const verdicts: Verdict[] = [];
    for (const [emitter, listed] of byEmitter(history.series)) {
      const growing = listed.flatMap((series): GrowingSeries[] => {
        const growth = growthOfSeries(series, rule, view);
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

/** The followed changes decide only where the other tests find nothing. */
function growthOfSeries(series: Series, rule: GrowthRule, view: View): Growth | null {
  const growth = view.counts.growthOf(series.column, rule);
  if (growth?.answer === 'found') return growth;
  const count = { series, minRise: rule.minRise };
  return view.longTermCounts?.leakOfFollowed(view.history.last, count) ?? growth;
}

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
  const events = candidates
    .filter(({ series }) => series.event !== '*')
    .toSorted((a, b) => b.growth.rise - a.growth.rise);
  const [event] = events;
  if (event === undefined) return sum ?? null;
  const minRise = MIN_SHARE_OF_EMITTER * (sum?.growth.rise ?? 0);
  if (sum === undefined || event.growth.rise >= minRise) return event;
  return { ...sum, events: eventsWith(events, minRise) };
}

/** The fewest events that have together most of the growth; none where more than three have it. */
function eventsWith(events: readonly GrowingSeries[], minRise: number): string[] {
  const names: string[] = [];
  let rise = 0;
  for (const { series, growth } of events.slice(0, MAX_NAMED_EVENTS)) {
    names.push(series.event ?? '*');
    rise += growth.rise;
    if (rise >= minRise) return names.toSorted();
  }
  return [];
}

function placeOf(emitter: string, { series: { event }, events = [] }: GrowingSeries): string {
  if (event !== '*') return `'${event}' of ${emitter}`;
  if (events.length === 0) return `all events of ${emitter}`;
  const quoted = events.map((name) => `'${name}'`);
  return `${quoted.slice(0, -1).join(', ')} and ${quoted.at(-1)} of ${emitter}`;
}

function verdictOn(emitter: string, growing: GrowingSeries, counts: CountWindow): Verdict {
  const { series, growth } = growing;
  const { perConnection, criticalPerConnection, leakedPerClosed } = thresholds;
  const connections = Math.max(counts.meanConnections, counts.connectionsNow, MIN_CONNECTIONS);
  const ratio = growth.now / connections;
  const isCritical = ratio >= criticalPerConnection.value;
  const evidence = [
    {
      name: 'listeners_per_connection',
      value: ratio,
      unit: 'listeners',
      threshold: isCritical ? criticalPerConnection.value : perConnection.value,
    },
    ...growthEvidence('wsguard_emitter_listeners', growth, {
      minRise: counts.minRise(thresholds),
      unit: 'listeners',
    }),
  ];
  const place = placeOf(emitter, growing);
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
    severity: isCritical ? 'critical' : 'warning',
    title,
    evidence,
  });
}
