/**
 * Finds network mounts without touching them. A mount whose server is gone makes every call on its files wait, also calls
 * in threads that the exit of the process waits for. /proc/self/mountinfo answers without asking the server.
 */
import { readlinkSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { readSmallRegularFile } from './files.ts';

interface Mount {
  readonly mountPoint: string;
  /** `nfs4`, `fuse.sshfs`, ... */
  readonly type: string;
}

const MOUNTINFO = '/proc/self/mountinfo';
/** A machine with many containers has thousands of mounts of about 200 bytes. */
const MAX_MOUNTINFO_BYTES = 4 * 1024 ** 2;
/** The limit of the kernel for one path. */
const MAX_LINKS = 40;
/** File systems whose server is another machine or a process. */
const NETWORK_TYPE =
  /^(nfs4?|cifs|smb3?|smbfs|ncpfs|afs|9p|ceph|lustre|glusterfs|beegfs|orangefs|pvfs2|coda|autofs|fuse(\..+)?)$/;

/** The mount table and the symbolic links; tests replace them. */
interface MountSource {
  readonly mountinfo: () => string;
  /** The target of a symbolic link; null for everything else. */
  readonly readLink: (path: string) => string | null;
}

/**
 * The network mount that holds `path`. Null on a local file system, without /proc, and where `mainFile` is on the same mount:
 * an application that lives on a mount dies with it anyway. The root file system counts as local for the same reason.
 */
export function foreignNetworkMountOf(
  path: string,
  mainFile: string | null,
  source: MountSource = SYSTEM,
): Mount | null {
  const mounts = readMounts(source.mountinfo());
  const mount = networkMountOf(path, mounts, source.readLink);
  if (mount === null || mainFile === null) return mount;
  const ofApplication = networkMountOf(dirname(mainFile), mounts, source.readLink);
  return ofApplication?.mountPoint === mount.mountPoint ? null : mount;
}

/** Walks down the path, one name at a time, and ends before the first call on a network mount. */
function networkMountOf(
  path: string,
  mounts: readonly Mount[],
  readLink: MountSource['readLink'],
): Mount | null {
  let current = '/';
  let names = namesOf(resolve(path));
  let links = 0;
  for (let name = names.shift(); name !== undefined; name = names.shift()) {
    const next = join(current, name);
    const mount = mounts.findLast(({ mountPoint }) => mountPoint === next);
    if (mount !== undefined && next !== '/' && NETWORK_TYPE.test(mount.type)) return mount;
    const target = links < MAX_LINKS ? readLink(next) : null;
    if (target === null) current = next;
    else {
      links += 1;
      names = [...namesOf(target), ...names];
      if (isAbsolute(target)) current = '/';
    }
  }
  return null;
}

const namesOf = (path: string): string[] => path.split('/').filter((name) => name !== '');

const readMounts = (text: string): Mount[] =>
  text.split('\n').flatMap((line) => {
    const [mountFields = '', typeFields = ''] = line.split(' - ');
    const mountPoint = mountFields.split(' ')[4];
    const type = typeFields.split(' ')[0];
    return mountPoint && type ? [{ mountPoint: unescapeOctal(mountPoint), type }] : [];
  });

function readMountinfo(): string {
  try {
    return readSmallRegularFile(MOUNTINFO, MAX_MOUNTINFO_BYTES);
  } catch {
    return '';
  }
}

/** The kernel writes a space as `\040`. */
const unescapeOctal = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)));

function readLinkOrNull(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}

const SYSTEM: MountSource = { mountinfo: readMountinfo, readLink: readLinkOrNull };
