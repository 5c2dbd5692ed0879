import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPersistence } from '../../../src/watcher/persistence.ts';
import type { Alert, Sample } from '../../../src/types/index.ts';
import { sampleOf } from '../../support/samples.ts';
import { createTestContext } from '../../support/watcher-context.ts';

let root: string;
beforeEach(() => (root = mkdtempSync(join(tmpdir(), 'wsguard-persistence-'))));
afterEach(() => rmSync(root, { recursive: true, force: true }));

test.each([
  ['that is a file', 'file'],
  ['below a file', join('file', 'wsguard')],
])('a directory %s is reported with a code, and is not a fault', (_, dir) => {
  writeFileSync(join(root, 'file'), '');
  const context = createTestContext({ dir: join(root, dir) }, { isDirSet: true });
  const persistence = openPersistence(context);
  persistence.writeOpenAlerts([]);
  persistence.close();
  expect(persistence.restoredAlerts).toEqual([]);
  expect(persistence.unwritableReason).toContain('WSGUARD_DIR_UNWRITABLE');
  expect(context.faults).toEqual([]);
  expect(context.logged).toEqual([
    expect.objectContaining({
      level: 'warn',
      fields: expect.objectContaining({ code: 'WSGUARD_DIR_UNWRITABLE' }),
    }),
  ]);
});

test.each([
  [60, 60],
  [1, undefined],
])('with the time scale %d the samples of the black box have the scale %s', (timeScale, recorded) => {
  const persistence = openPersistence(createTestContext({ dir: root, timeScale }, { isDirSet: true }));
  persistence.writeSample(sampleOf());
  const [instance = ''] = readdirSync(root);
  const line = readFileSync(join(root, instance, 'box-0.ndjson'), 'utf8');
  expect((JSON.parse(line) as Sample).timeScale).toBe(recorded);
  persistence.close();
});

test('a black box that cannot be written for a time logs it once, and is written again', () => {
  const context = createTestContext({ dir: root }, { isDirSet: true });
  const persistence = openPersistence(context);
  const [instance = ''] = readdirSync(root);
  const folder = join(root, instance);
  rmSync(folder, { recursive: true });
  for (let attempt = 0; attempt < 5; attempt += 1) persistence.writeOpenAlerts([{} as Alert]);
  mkdirSync(folder);
  persistence.writeOpenAlerts([{} as Alert]);
  expect(existsSync(join(folder, 'open-alerts.json'))).toBe(true);
  expect(context.faults).toEqual([]);
  expect(context.logged.map(({ level }) => level)).toEqual(['warn', 'info']);
  persistence.close();
});
