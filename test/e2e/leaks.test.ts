/**
 * A leaky server and its fixed version, both under the preload alone and with the same clients. The agent reports the
 * line of the leak, and opens no alert for the fixed server. `npm run bench -- live` does this for all of fixtures/apps.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Report } from '../../src/types/index.ts';
import { AGENT, LEAKS, markedLine, startCase, type Case } from '../support/lab.ts';
import { expectValid } from '../support/schemas.ts';

const FOUND_WITHIN_MS = 150_000;

describe.each(['listeners', 'registry', 'zombies', 'half-heartbeat'])('%s', (name) => {
  test('the leaky server has an alert with the line of the leak, the fixed server has no alert', async () => {
    const theCase = LEAKS[name] as Case;
    // A snapshot on a busy machine takes seconds. A small heap has more frequent major GCs.
    const options = {
      env: { WSGUARD_PAUSE_BUDGET_MS: '20000' },
      nodeArgs: ['--max-old-space-size=64'],
    };
    const leaky = await startCase(name, 'leaky', theCase, options);
    const fixed = await startCase(name, 'fixed', theCase, options);
    try {
      const opened = await leaky.app.waitForTransition(
        ({ event, kind }) => event === 'opened' && theCase.kinds?.includes(kind) === true,
        { deadlineMs: FOUND_WITHIN_MS, what: `one of ${theCase.kinds?.join(', ')}` },
      );
      const named = await leaky.app.waitForTransition(
        ({ id, culprit }) => id === opened.id && culprit?.line === markedLine(leaky.file),
        { deadlineMs: FOUND_WITHIN_MS, what: `the culprit at line ${markedLine(leaky.file)}` },
      );
      expect(named.culprit?.file).toBe(leaky.file);
      expect(leaky.app.opened()).toHaveLength(1);
      for (const line of leaky.app.transitions()) expectValid('alert', line);
      const file = join(leaky.app.dir, named.report ?? '');
      const { analysis } = expectValid('report', JSON.parse(readFileSync(file, 'utf8')) as Report);
      const places = (analysis?.suspects ?? []).flatMap(({ location, maker }) => [location, maker]);
      expect(places.filter((place) => place?.file.startsWith(dirname(AGENT)))).toEqual([]);
      expect(fixed.app.transitions()).toEqual([]);
      // Both servers still run.
      for (const { app } of [leaky, fixed]) expect(app.over()).toBeNull();
    } finally {
      await Promise.all([leaky.stop(), fixed.stop()]);
    }
  });
});
