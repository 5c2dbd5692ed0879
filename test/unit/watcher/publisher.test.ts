import type { FromWatcher, Link } from '../../../src/channel.ts';
import type { Alert, Analysis } from '../../../src/types/index.ts';
import type { Outputs } from '../../../src/watcher/outputs.ts';
import { Publisher } from '../../../src/watcher/publisher.ts';
import { WatcherState } from '../../../src/watcher/state.ts';
import { alertOf } from '../../support/alerts.ts';
import { analysisWith } from '../../support/analyses.ts';
import { createTestContext } from '../../support/watcher-context.ts';

/** A publisher whose outputs record what they get. `reports` are the results of `writeReport`; null is a failed write. */
function start(reports: (string | null | Error)[] = []) {
  const context = createTestContext();
  const state = new WatcherState(context);
  const events: string[] = [];
  const sent: Alert[] = [];
  const analyses: (Analysis | null)[] = [];
  const outputs = {
    async writeReport({ id, event }: Alert, { analysis }: { analysis: Analysis | null }) {
      // A report takes several turns of the event loop to write.
      for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
      events.push(`report ${id} ${event}`);
      analyses.push(analysis);
      const report = reports.shift();
      if (report instanceof Error) throw report;
      return report === undefined ? `${id}/report.json` : report;
    },
    reportPath: (report: string) => `/dir/${report}`,
    sendAlert(alert: Alert) {
      events.push(`alert ${alert.id} ${alert.event}`);
      sent.push(alert);
    },
  } as unknown as Outputs;
  const link = {
    send: (name: string, value: { file?: string }) => void events.push(`${name} ${value.file ?? ''}`.trim()),
  } as unknown as Link<FromWatcher>;
  const publisher = new Publisher(context, {
    outputs,
    state,
    link,
    onPublished: ({ id, event }) => void events.push(`published ${id} ${event}`),
  });
  return { context, state, publisher, events, sent, analyses };
}

test('the report is written before the alert leaves, and transitions leave one after the other', async () => {
  const { publisher, events } = start();
  publisher.publish([alertOf({ id: 'a' }), alertOf({ id: 'b' })]);
  await publisher.idle();
  expect(events).toEqual(
    ['a', 'b'].flatMap((id) => [
      `report ${id} opened`,
      `alert ${id} opened`,
      'transition',
      `report /dir/${id}/report.json`,
      `published ${id} opened`,
    ]),
  );
});

test('an alert without a report is published with report null', async () => {
  const { publisher, events, sent } = start([null]);
  publisher.publish([alertOf()]);
  await publisher.idle();
  expect(sent[0]?.report).toBeNull();
  expect(events.filter((event) => event.startsWith('report /dir'))).toEqual([]);
});

test('a fault while one transition is published does not stop the next one', async () => {
  const { context, publisher, sent } = start([new Error('disk')]);
  publisher.publish([alertOf({ id: 'a' }), alertOf({ id: 'b' })]);
  await publisher.idle();
  expect(context.faults).toEqual(['publish']);
  expect(sent.map(({ id }) => id)).toEqual(['b']);
});

test('open alerts are those published last; a closed one is removed', async () => {
  const { publisher, state } = start();
  publisher.restore([alertOf({ id: 'restored' })]);
  publisher.publish([alertOf({ id: 'a' }), alertOf({ id: 'restored', event: 'closed' })]);
  await publisher.idle();
  expect(publisher.openAlerts().map(({ id }) => id)).toEqual(['a']);
  expect(state.status().alerts.map(({ id }) => id)).toEqual(['a']);
});

test('reports after attachAnalysis contain the analysis, until the alert closes', async () => {
  const { publisher, analyses } = start();
  const analysis = analysisWith();
  publisher.attachAnalysis('a', analysis);
  publisher.publish([alertOf({ id: 'a' })]);
  await publisher.idle();
  publisher.attachAnalysis('a', analysis);
  publisher.publish([
    alertOf({ id: 'a', event: 'updated' }),
    alertOf({ id: 'a', event: 'closed' }),
    alertOf({ id: 'a' }),
  ]);
  await publisher.idle();
  expect(analyses).toEqual([null, analysis, analysis, null]);
});

test('culpritBecause goes when there is a culprit', async () => {
  const { publisher, sent } = start();
  const { culprit } = alertOf();
  publisher.publish([
    alertOf({ culprit: null, culpritBecause: 'no snapshot' }),
    alertOf({ event: 'updated', culprit, culpritBecause: 'no snapshot' }),
  ]);
  await publisher.idle();
  expect(sent.map(({ culpritBecause }) => culpritBecause)).toEqual(['no snapshot', undefined]);
});
