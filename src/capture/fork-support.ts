/**
 * Tells why this process cannot be forked for a capture, and finds the addon that forks it. Loads nothing: the agent asks
 * at its start and loads the addon with the first capture.
 */

import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { isMainThread } from 'node:worker_threads';

/** The path of the C library's loader is in the first bytes of an executable. */
const EXECUTABLE_HEAD_BYTES = 4096;
const OWN_EXECUTABLE = '/proc/self/exe';
const ARCHITECTURES = ['x64', 'arm64'];
const NATIVE = join(__dirname, '..', '..', 'native');
const BINARY = 'wsguard-capture.node';

/** The reason as a clause for `cannot fork: ...`; null when nothing speaks against it. */
export function forkUnavailableReason(): string | null {
  const { platform, arch, versions } = process;
  if (platform !== 'linux') return `a forked capture needs Linux, this is ${platform}`;
  if (!ARCHITECTURES.includes(arch)) return `no addon for the architecture ${arch}`;
  if (!isMainThread) return 'only the main thread can be forked, this is a Worker';
  if ('electron' in versions) return 'Electron has threads that do not survive a fork';
  // The redaction process needs a Node that runs scripts.
  if (isSingleExecutable()) return 'the application is a single executable';
  if ((process as { permission?: unknown }).permission !== undefined)
    return 'Node runs with --permission, which forbids addons and child processes';
  if (!existsSync(OWN_EXECUTABLE)) return 'a forked capture needs /proc, which cannot be read';
  const libc = libcName();
  if (libc === null) return 'the C library of this Node is neither glibc nor musl';
  if (addonFiles(libc).length === 0) return `the addon for linux ${arch} ${libc} is missing`;
  return isOwnMemoryReadable()
    ? null
    : 'the kernel hides the states of its threads, because the process changed its user (setuid)';
}

/** The addon compiled in a clone first, then the one that the package brings. */
export function addonFiles(libc = libcName()): string[] {
  const target = `${process.platform}-${process.arch}-${libc}`;
  return [join(NATIVE, 'build', BINARY), join(NATIVE, 'prebuilt', target, BINARY)].filter((file) =>
    existsSync(file),
  );
}

function isSingleExecutable(): boolean {
  try {
    return (require('node:sea') as { isSea(): boolean }).isSea();
  } catch {
    // Node before 20.12.
    return false;
  }
}

/** Null when it is neither. */
export function libcName(): 'glibc' | 'musl' | null {
  try {
    const head = Buffer.alloc(EXECUTABLE_HEAD_BYTES);
    const descriptor = openSync(OWN_EXECUTABLE, 'r');
    try {
      readSync(descriptor, head);
    } finally {
      closeSync(descriptor);
    }
    const text = head.toString('latin1');
    return text.includes('/ld-musl-') ? 'musl' : text.includes('/ld-linux-') ? 'glibc' : null;
  } catch {
    return null;
  }
}

/** After setuid the kernel gives these files to root. The fork has to know whether the other threads wait. */
function isOwnMemoryReadable(): boolean {
  try {
    readFileSync('/proc/self/syscall');
    return true;
  } catch {
    return false;
  }
}
