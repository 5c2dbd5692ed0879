/**
 * An application can close descriptor 0, 1 or 2, as daemons do. The next file that libuv opens gets that number, and libuv
 * ends the process when it closes one of the three: `process.memoryUsage()` opens and closes a file of /proc.
 */
import { closeSync, fstatSync, openSync } from 'node:fs';

const STANDARD = [0, 1, 2];
/** Linux: the descriptor cannot be read or written, so the application gets EBADF as for the one that it closed. */
const O_PATH = 0o10000000;

/** Occupies those of the three that are closed. Takes about 3 us. False where one stays free. */
export function occupyStandardDescriptors(): boolean {
  return process.platform !== 'linux' || STANDARD.every((descriptor) => isOpen(descriptor) || occupy());
}

function isOpen(descriptor: number): boolean {
  try {
    fstatSync(descriptor, { bigint: true });
    return true;
  } catch {
    return false;
  }
}

/** The system gives the lowest number that is free. */
function occupy(): boolean {
  try {
    const descriptor = openSync('/dev/null', O_PATH);
    // Another thread has taken the number meanwhile.
    if (!STANDARD.includes(descriptor)) closeSync(descriptor);
    return true;
  } catch {
    // `--permission` can deny it.
    return false;
  }
}
