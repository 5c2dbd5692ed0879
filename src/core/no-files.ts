/** Decides whether the agent may write into its directory at all. */
import { join } from 'node:path';
import type { Config } from '../config/schema.ts';
import { unsafeFolderReason } from './folders.ts';
import { foreignNetworkMountOf } from './mounts.ts';
import { isAllowed } from './process.ts';

/** Null when it may. `mainFile` is the script of the application. Call it on the application thread (`isAllowed`). */
export function reasonForNoFiles(
  { dir, networkDir }: Pick<Config, 'dir' | 'networkDir'>,
  mainFile: string | null,
): string | null {
  if (!isAllowed('fs.write', dir)) return '--permission needs --allow-fs-write for its directory';
  const mount = networkDir === 'on' ? null : foreignNetworkMountOf(dir, mainFile);
  if (mount !== null) {
    const place = `${dir} is on the network mount ${mount.mountPoint} (${mount.type})`;
    return `${place}, which keeps the process from exiting when its server does not respond; set WSGUARD_DIR to a local directory, or WSGUARD_NETWORK_DIR=on to accept that`;
  }
  const unsafe = unsafeFolderReason(dir);
  return unsafe === null
    ? null
    : `${dir} is not private: ${unsafe}; set WSGUARD_DIR to a directory that does not exist yet, for example ${join(dir, 'wsguard')}`;
}
