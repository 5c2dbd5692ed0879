import { foreignNetworkMountOf } from '../../../src/core/mounts.ts';

const MOUNTINFO = [
  '22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw',
  '30 22 0:40 / /mnt/evidence rw shared:2 - nfs4 server:/evidence rw',
  '31 22 0:41 / /mnt/with\\040space rw - fuse.sshfs user@host: rw',
  '32 22 0:42 / /data rw - xfs /dev/sdb rw',
  '33 32 0:43 / /data/share rw - cifs //server/share rw',
  '34 22 8:2 / /mnt/windows rw - fuseblk /dev/sdc rw',
  '',
].join('\n');

function mountOf(
  path: string,
  mainFile: string | null = '/app/server.js',
  links: Record<string, string> = {},
) {
  const asked: string[] = [];
  const readLink = (one: string): string | null => {
    asked.push(one);
    return links[one] ?? null;
  };
  return { mount: foreignNetworkMountOf(path, mainFile, { mountinfo: () => MOUNTINFO, readLink }), asked };
}

test('finds a network mount without a call below it', () => {
  const { mount, asked } = mountOf('/mnt/evidence/app/wsguard');
  expect(mount).toEqual({ mountPoint: '/mnt/evidence', type: 'nfs4' });
  expect(asked).toEqual(['/mnt', '/app']);
  expect(mountOf('/mnt/with space/x').mount?.type).toBe('fuse.sshfs');
  expect(mountOf('/data/share').mount?.type).toBe('cifs');
});

test('a local file system is none', () => {
  for (const path of ['/var/lib/wsguard', '/data/wsguard', '/mnt/windows/x', '/mnt/evidence2'])
    expect(mountOf(path).mount).toBeNull();
});

test('follows symbolic links, also relative ones and circles', () => {
  const links = { '/srv/wsguard': '../mnt/evidence', '/srv/a': '/srv/b', '/srv/b': '/srv/a' };
  expect(mountOf('/srv/wsguard/x', null, links).mount?.mountPoint).toBe('/mnt/evidence');
  expect(mountOf('/srv/a', null, links).mount).toBeNull();
});

test('the mount of the application itself is none', () => {
  expect(mountOf('/mnt/evidence/app/.wsguard', '/mnt/evidence/app/server.js').mount).toBeNull();
  expect(mountOf('/data/share/.wsguard', '/mnt/evidence/app/server.js').mount?.type).toBe('cifs');
});
