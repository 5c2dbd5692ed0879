// `npm run bench -- s3 [--json] [--mib 2048]`: uploads a large file to a real S3 server (versitygw): the memory that the upload
// adds, its time and its CPU. Then the uploading process is killed half-way, and the agent of another process delivers the
// file.
import { execFileSync, spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { randomBytes } from 'node:crypto';
import { loadavg, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import components from '../../fixtures/components/start.js';
import { readLines } from './support/child-lines.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..', '..');
const { values } = parseArgs({
  options: { json: { type: 'boolean', default: false }, mib: { type: 'string', default: '2048' } },
});
const MIB = 1024 * 1024;
/** The promise of the agent for any file. */
const MAX_EXTRA_MIB = 64;
const MAX_UPLOAD_MS = 4 * 60_000;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const store = await components.startComponent('versitygw');
const dir = mkdtempSync(join(tmpdir(), 'wsguard-bench-s3-'));
const file = join(dir, 'large.heapsnapshot.gz');
const env = {
  ...process.env,
  AWS_ACCESS_KEY_ID: store.credentials.accessKeyId,
  AWS_SECRET_ACCESS_KEY: store.credentials.secretAccessKey,
  AWS_SESSION_TOKEN: '',
};
const objectOf = (key) => join(store.dir, 'snapshots', 'bench', key, 'large.heapsnapshot.gz');

/** Each MiB is different, so that parts in a wrong order are noticed. */
function writeLargeFile() {
  const descriptor = openSync(file, 'w', 0o600);
  const chunk = randomBytes(MIB);
  for (let index = 0; index < Number(values.mib); index += 1) {
    chunk.writeUInt32LE(index);
    writeSync(descriptor, chunk);
  }
  closeSync(descriptor);
}

function isSame(key) {
  try {
    execFileSync('cmp', [file, objectOf(key)], { stdio: 'pipe' });
    return true;
  } catch {
    return false;
  }
}

function startUpload(key) {
  const child = spawn(process.execPath, [join(here, 's3-upload.cjs'), dir, store.url, file, key], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => child.on('close', resolve));
  return { child, ended, nextLine: readLines(child) };
}

async function measureUpload() {
  const { ended, nextLine } = startUpload('whole');
  const { beforeBytes } = await nextLine();
  const { delivery, seconds, cpuSeconds, peakBytes } = await nextLine();
  await ended;
  return {
    outcome: delivery.outcome,
    isSame: isSame('whole'),
    extraMib: Math.round((peakBytes - beforeBytes) / MIB),
    beforeMib: Math.round(beforeBytes / MIB),
    seconds: Math.round(seconds),
    cpuSeconds: Number(cpuSeconds.toFixed(1)),
  };
}

/** Kills the upload after half of the time that a whole one takes. The agent of another process finds it in the outbox. */
async function killHalfway(wholeSeconds) {
  const upload = startUpload('killed');
  await upload.nextLine();
  await sleep((wholeSeconds * 1000) / 2);
  upload.child.kill('SIGKILL');
  await upload.ended;
  const wasThere = existsSync(objectOf('killed'));
  const main = join(dir, 'main.cjs');
  writeFileSync(main, `require('node:http').createServer().listen(0);`);
  const startedMs = performance.now();
  const next = spawn(process.execPath, ['--require', join(root, 'dist', 'register.js'), main], {
    env: {
      ...env,
      WSGUARD_DIR: dir,
      // The agent takes over what a process of the same service left.
      WSGUARD_SERVICE: 'bench',
      WSGUARD_S3_BUCKET: 'snapshots',
      WSGUARD_S3_PREFIX: 'bench',
      WSGUARD_S3_ENDPOINT: store.url,
    },
    stdio: 'ignore',
  });
  while (!existsSync(objectOf('killed')) && performance.now() - startedMs < MAX_UPLOAD_MS) await sleep(50);
  const seconds = Math.round((performance.now() - startedMs) / 1000);
  const pendingFiles = () =>
    readdirSync(dir, { recursive: true }).filter((name) => /outbox\/s3\/./.test(String(name))).length;
  for (let attempt = 0; attempt < 100 && pendingFiles() > 0; attempt += 1) await sleep(50);
  next.kill('SIGKILL');
  return { wasThere, isSame: isSame('killed'), seconds, pending: pendingFiles() };
}

let result;
try {
  writeLargeFile();
  const upload = await measureUpload();
  rmSync(objectOf('whole'), { force: true });
  const killed = await killHalfway(upload.seconds);
  result = {
    node: process.version,
    fileMib: Math.round(statSync(file).size / MIB),
    upload,
    killed,
    load: Number(loadavg()[0].toFixed(1)),
  };
} finally {
  await store.stop();
  rmSync(dir, { recursive: true, force: true });
}
console.log(values.json ? JSON.stringify(result) : result);
const { upload, killed } = result;
const isGood =
  upload.outcome === 'delivered' &&
  upload.isSame &&
  upload.extraMib <= MAX_EXTRA_MIB &&
  !killed.wasThere &&
  killed.isSame &&
  killed.pending === 0;
process.exit(isGood ? 0 : 1);
