import type { Culprit } from '../../../src/types/index.ts';
import { Outputs } from '../../../src/watcher/outputs.ts';
import { WatcherState } from '../../../src/watcher/state.ts';
import { alertOf } from '../../support/alerts.ts';
import { createTestContext } from '../../support/watcher-context.ts';

test('the message of a log line has the root cause, and at the end the reason', () => {
  const context = createTestContext({}, { noFilesReason: 'a test' });
  const outputs = new Outputs(context, new WatcherState(context));
  const culprit = { ...(alertOf().culprit as Culprit), text: '`clients` in server.js:41' };
  outputs.sendAlert(alertOf({ title: 'It grows', culprit: null }));
  outputs.sendAlert(alertOf({ title: 'It grows', event: 'updated', culprit }));
  outputs.sendAlert(
    alertOf({ title: 'It grows', event: 'closed', culprit, because: 'no growth for 30 min' }),
  );
  expect(context.logged.map(({ message }) => message)).toEqual([
    'It grows',
    'It grows; root cause: `clients` in server.js:41',
    'closed (no growth for 30 min): It grows',
  ]);
});

test('the log line of an alert has the path of a report that people can read, a failed delivery its reason', async () => {
  const context = createTestContext({ dir: '/srv/chat/.wsguard' }, { noFilesReason: 'a test' });
  const outputs = new Outputs(context, new WatcherState(context));
  outputs.sendAlert(alertOf({ id: 'a1b2c3', report: 'a1b2c3/report.json' }));
  outputs.sendAlert(alertOf({ id: 'd4e5f6', report: null, muted: true }));
  await new Promise(setImmediate);
  expect(context.logged.map(({ message }) => message)).toContainEqual(
    expect.stringMatching(/^a delivery to file failed: .+/),
  );
  expect(context.logged.flatMap(({ fields }) => ('report' in fields ? [fields['muted']] : []))).toEqual([
    undefined,
    true,
  ]);
  expect(context.logged.flatMap(({ fields }) => ('report' in fields ? [fields['report']] : []))).toEqual([
    '/srv/chat/.wsguard/a1b2c3/report.txt',
    null,
  ]);
});
