import { Outputs } from '../../../src/watcher/outputs.ts';
import { WatcherState } from '../../../src/watcher/state.ts';
import { alertOf } from '../../support/alerts.ts';
import { createTestContext } from '../../support/watcher-context.ts';

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
