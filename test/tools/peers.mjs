// Other readers of heap snapshots, fetched once into a cache of their own: what they read is what we must not break.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

export const PEERS = { 'heap-snapshot-toolkit': '1.1.3', '@memlab/heap-analysis': '2.0.5' };
const cache = process.env.WSGUARD_PEERS_DIR ?? join(homedir(), '.cache', 'wsguard-peers');
const require = createRequire(join(cache, 'package.json'));

export const peersAreHere = () =>
  Object.entries(PEERS).every(([name, version]) => {
    const manifest = join(cache, 'node_modules', name, 'package.json');
    return existsSync(manifest) && require(manifest).version === version;
  });

export function installPeers() {
  if (peersAreHere()) return;
  mkdirSync(cache, { recursive: true });
  writeFileSync(join(cache, 'package.json'), '{"private":true}');
  const specs = Object.entries(PEERS).map(([name, version]) => `${name}@${version}`);
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', ...specs], {
    cwd: cache,
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, PUPPETEER_SKIP_DOWNLOAD: '1' },
  });
}

/** The code of Chrome's DevTools, packed for Node. */
export const loadDevTools = () =>
  import(pathToFileURL(join(cache, 'node_modules', 'heap-snapshot-toolkit', 'index.js')).href);
export const loadMemlab = () => require('@memlab/heap-analysis');
