/**
 * Reads files with the rights of another process. `wsguard doctor --pid` run by root would else read, through a link in the
 * settings of the process, files that its user may not read.
 */
import { readSmallRegularFile } from '../core/files.ts';

export interface User {
  readonly userId: number;
  readonly groupId: number;
  readonly groups: readonly number[];
}

const MAX_PROC_BYTES = 64 * 1024;
const ROOT = 0;

/** The effective user of a process, from /proc. */
export function readUser(
  pid: number,
  readFile = (path: string): string => readSmallRegularFile(path, MAX_PROC_BYTES),
): User {
  const status = readFile(`/proc/${pid}/status`);
  const numbers = (field: string): number[] =>
    (new RegExp(`^${field}:[ \\t]*(.*)$`, 'm').exec(status)?.[1] ?? '')
      .split(/\s+/)
      .filter(Boolean)
      .map(Number);
  const [, userId = -1] = numbers('Uid');
  const [, groupId = -1] = numbers('Gid');
  return { userId, groupId, groups: numbers('Groups') };
}

/** Runs a synchronous task with the rights of `user`. Only root can change the user; everybody else has his own rights. */
export function asUser<T>({ userId, groupId, groups }: User, task: () => T): T {
  const { geteuid, getegid, getgroups, seteuid, setegid, setgroups } = process;
  if (geteuid?.() !== ROOT || userId === ROOT || !getegid || !getgroups || !seteuid || !setegid || !setgroups)
    return task();
  const before = { groupId: getegid(), groups: getgroups() };
  try {
    setgroups([...groups]);
    setegid(groupId);
    seteuid(userId);
    return task();
  } finally {
    seteuid(ROOT);
    setegid(before.groupId);
    setgroups(before.groups);
  }
}
