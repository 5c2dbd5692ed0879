// The targets of the prebuilt binaries, and the compiler flags that all builds share.
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const NATIVE = dirname(fileURLToPath(import.meta.url));
export const PREBUILT = join(NATIVE, 'prebuilt');
export const BINARY = 'wsguard-capture.node';

/** Folder name of each target, and its name for zig. glibc 2.28 is the oldest that Node 20 runs on. */
export const TARGETS = {
  'linux-x64-glibc': 'x86_64-linux-gnu.2.28',
  'linux-arm64-glibc': 'aarch64-linux-gnu.2.28',
  'linux-x64-musl': 'x86_64-linux-musl',
  'linux-arm64-musl': 'aarch64-linux-musl',
};

/** A Worker that loaded the addon must not unload it, because a child process may use it at that moment: nodelete. */
export const FLAGS = [
  '-std=c11',
  '-O2',
  '-Wall',
  '-Wextra',
  '-Werror',
  '-fPIC',
  '-shared',
  '-fvisibility=hidden',
  '-Wl,-z,nodelete',
  '-Wl,-z,relro',
];

export const sources = () =>
  readdirSync(join(NATIVE, 'src'))
    .filter((name) => name.endsWith('.c'))
    .sort()
    .map((name) => join('src', name));

/** The folder with node_api.h: beside the running Node, or the system's. Null when there is none. */
export const nodeHeaders = () =>
  [
    join(dirname(process.execPath), '..', 'include', 'node'),
    '/usr/local/include/node',
    '/usr/include/node',
  ].find((folder) => existsSync(join(folder, 'node_api.h'))) ?? null;
