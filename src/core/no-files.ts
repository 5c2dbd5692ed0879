/** Decides into which folder the agent writes, and whether it may write at all. */
import { dirname, join } from 'node:path';
import type { Config } from '../config/schema.ts';
import { fileErrorText } from './files.ts';
import { privateFolderIn, unsafeFolderReason } from './folders.ts';
import { foreignNetworkMountOf } from './mounts.ts';
import { isAllowed } from './process.ts';

/** The message of an error has the path, which can be of any length. */
const MAX_REASON_LENGTH = 200;

export interface ChosenFolder {
  /** `WSGUARD_DIR`, or the private folder in it where other users can write to it. Empty without a working directory. */
  readonly dir: string;
  /** Null when the agent may write there. */
  readonly noFilesReason: string | null;
}

type FolderConfig = Pick<Config, 'dir' | 'networkDir'>;

/** `mainFile` is the script of the application. Call it on the application thread (`isAllowed`). */
export function chooseFolder(config: FolderConfig, mainFile: string | null): ChosenFolder {
  try {
    return chooseUsableFolder(config, mainFile);
  } catch (error) {
    // A name that is too long, for example. The agent works without files.
    const noFilesReason = `WSGUARD_DIR cannot be used: ${fileErrorText(error).slice(0, MAX_REASON_LENGTH)}`;
    return { dir: '', noFilesReason };
  }
}

function chooseUsableFolder({ dir, networkDir }: FolderConfig, mainFile: string | null): ChosenFolder {
  if (dir === '')
    return { dir, noFilesReason: 'the working directory was deleted; set WSGUARD_DIR to an absolute path' };
  if (!isAllowed('fs.write', dir))
    return { dir, noFilesReason: '--permission needs --allow-fs-write for its directory' };
  const mount = networkDir === 'on' ? null : foreignNetworkMountOf(dir, mainFile);
  if (mount !== null) {
    const place = `${dir} is on the network mount ${mount.mountPoint} (${mount.type})`;
    const noFilesReason = `${place}, which keeps the process from exiting when its server does not respond; set WSGUARD_DIR to a local directory, or WSGUARD_NETWORK_DIR=on to accept that`;
    return { dir, noFilesReason };
  }
  const folder = privateFolderIn(dir);
  const unsafe = unsafeFolderReason(folder);
  if (unsafe === null) return { dir: folder, noFilesReason: null };
  const example = join(folder === dir ? dir : dirname(dir), 'wsguard');
  const advice = `set WSGUARD_DIR to a directory that does not exist yet, for example ${example}`;
  return { dir: folder, noFilesReason: `${folder} is not private: ${unsafe}; ${advice}` };
}
