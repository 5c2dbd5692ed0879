import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPersistence } from '../../../src/watcher/persistence.ts';
import { createTestContext } from '../../support/watcher-context.ts';

let root: string;
beforeEach(() => (root = mkdtempSync(join(tmpdir(), 'wsguard-persistence-'))));
afterEach(() => rmSync(root, { recursive: true, force: true }));

test('a directory below a file is reported with a code, and is not a fault', () => {
  writeFileSync(join(root, 'file'), '');
  const context = createTestContext({ dir: join(root, 'file', 'wsguard') }, { isDirSet: true });
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
