/** The file to which a forked capture moves its working memory when memory is short. */

import { randomBytes } from 'node:crypto';
import { closeSync, constants, openSync, statfsSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';

/** `f_type` of file systems that keep their files in memory (statfs(2)). */
const IN_MEMORY: Readonly<Record<number, string>> = { 0x01021994: 'tmpfs', 0x858458f6: 'ramfs' };
const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR } = constants;

/** Why memory cannot move to a file of this folder; null when it can. */
export function spillUnavailableReason(folder: string): string | null {
  try {
    const name = IN_MEMORY[statfsSync(folder).type];
    return name === undefined ? null : `${folder} is in memory itself (${name})`;
  } catch {
    return `${folder} cannot be read`;
  }
}

/** Returns the descriptor of an empty file that only this user can read and that has no name any more. */
export function openSpillFile(folder: string): number {
  const file = join(folder, `.wsguard-spill-${randomBytes(8).toString('hex')}.${process.pid}.tmp`);
  const descriptor = openSync(file, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    unlinkSync(file);
    return descriptor;
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}
