/** Listeners of an emitter beyond a multiple of the connections, and growing. */

import type { Verdict } from '../types/index.ts';
import { growthEvidence, minRise, sayPerClosed, stillWarming } from './registries.ts';
import { found, quiet, type Detector } from './detector.ts';
import type { Counts, Growth } from './growth.ts';
import type { CountedSeries } from './history.ts';
import { formatCount } from '../core/format.ts';

const NAME = 'listeners';
const WARNING_RATIO = 2;
const CRITICAL_RATIO = 5;
/** Each second connection that leaves a listener behind says it sooner than twice the connections does. */
const MIN_LEFT_PER_CLOSED = 0.5;
/** With next to no connections a ratio says nothing: a program has listeners of its own. */
const MIN_CONNECTIONS = 10;
/** An event that brings so much of its emitter's growth is the one to name; else names grow, `user:<id>`. */
const MOST = 0.6;

interface Grown {
  readonly series: CountedSeries;
  readonly growth: Growth;
}

export const listeners: Detector = {
  name: NAME,
  look({ history, counts }) {
    if (counts.missing !== null) return [stillWarming(NAME, counts)];
    const verdicts: Verdict[] = [];
    for (const [emitter, series] of byEmitter(history.counted.values())) {
      const grown = series.flatMap((one): Grown[] => {
        const growth = counts.test(one.key, { minRise: minRise(counts), perConnection: true });
        return growth === null || growth.answer === 'ok' ? [] : [{ series: one, growth }];
      });
      const worst = pick(grown);
      if (worst !== null) verdicts.push(judge(emitter, worst, counts));
    }
    if (verdicts.length === 0) verdicts.push(quiet(NAME, 'ok', 'no listener count grows on its own'));
    return verdicts;
  },
};

function byEmitter(all: Iterable<CountedSeries>): Map<string, CountedSeries[]> {
  const emitters = new Map<string, CountedSeries[]>();
  for (const series of all) {
    if (series.what !== 'listeners') continue;
    emitters.set(series.name, [...(emitters.get(series.name) ?? []), series]);
  }
  return emitters;
}

function pick(grown: readonly Grown[]): Grown | null {
  const found = grown.filter(({ growth }) => growth.answer === 'found');
  const from = found.length > 0 ? found : grown;
  const sum = from.find(({ series }) => series.event === '*');
  const event = from
    .filter(({ series }) => series.event !== '*')
    .sort((a, b) => b.growth.rise - a.growth.rise)[0];
  if (event === undefined) return sum ?? null;
  return sum === undefined || event.growth.rise >= MOST * sum.growth.rise ? event : sum;
}

function judge(emitter: string, { series, growth }: Grown, counts: Counts): Verdict {
  const connections = Math.max(counts.meanConnections, counts.connectionsNow, MIN_CONNECTIONS);
  const ratio = growth.now / connections;
  const evidence = [
    { name: 'listeners_per_connection', value: ratio, unit: 'listeners', threshold: WARNING_RATIO },
    ...growthEvidence('wsguard_emitter_listeners', growth, minRise(counts)),
  ];
  const where = series.event === '*' ? `all events of ${emitter}` : `'${series.event}' of ${emitter}`;
  const said =
    `${formatCount(growth.now)} listeners on ${where} for ${formatCount(counts.connectionsNow)} connections, ` +
    sayPerClosed(growth);
  if (growth.answer !== 'found') return quiet(NAME, growth.answer, said, { evidence });
  if (ratio < WARNING_RATIO && (growth.perClosed ?? 0) < MIN_LEFT_PER_CLOSED)
    return quiet(NAME, 'inconclusive', `${said}; below ${WARNING_RATIO} for each connection`, { evidence });
  return found(NAME, {
    kind: 'listener-accumulation',
    subject: `${emitter} ${series.event ?? '*'}`,
    severity: ratio >= CRITICAL_RATIO ? 'critical' : 'warning',
    title: said,
    evidence,
  });
}
