import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asUser, readUser } from '../../../src/cli/as-user.ts';
import { asRoot } from '../../support/platform.ts';

test('reads the effective user and the groups', () => {
  const status =
    'Name:\tnode\nUid:\t1000\t1001\t1000\t1000\nGid:\t1000\t1002\t1000\t1000\nGroups:\t27 1002 \n';
  const noGroups = 'Uid:\t1\t1\t1\t1\nGid:\t1\t1\t1\t1\nGroups:\t \nNStgid:\t7\n';
  expect(readUser(1, () => noGroups).groups).toEqual([]);
  expect(readUser(1, () => status)).toEqual({ userId: 1001, groupId: 1002, groups: [27, 1002] });
});

asRoot('has the rights of the user during the task only, also when it throws', () => {
  const dir = mkdtempSync(join(tmpdir(), 'wsguard-user-'));
  const [secret, open] = [join(dir, 'secret'), join(dir, 'open')];
  try {
    chmodSync(dir, 0o755);
    for (const [file, mode] of [
      [secret, 0o600],
      [open, 0o644],
    ] as const)
      writeFileSync(file, 'text', { mode });
    const nobody = { userId: 65_534, groupId: 65_534, groups: [] };
    expect(asUser(nobody, () => readFileSync(open, 'utf8'))).toBe('text');
    expect(() => asUser(nobody, () => readFileSync(secret, 'utf8'))).toThrow(/EACCES/);
    expect(readFileSync(secret, 'utf8')).toBe('text');
    expect([process.geteuid?.(), process.getegid?.()]).toEqual([0, 0]);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
