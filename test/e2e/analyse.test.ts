/** `wsguard analyse` as people and scripts call it. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Analysis } from '../../src/types/index.ts';
import { expectValid } from '../support/schemas.ts';

const ROOT = join(__dirname, '..', '..');
const CLI = join(ROOT, 'dist', 'cli', 'main.js');
const PROGRAM = join(ROOT, 'fixtures', 'heaps', 'patterns.js');
const folder = mkdtempSync(join(tmpdir(), 'wsguard-analyse-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function analyse(
  args: readonly string[],
  stdin?: Buffer,
): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [CLI, 'analyse', ...args]);
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk) => (out += chunk));
  child.stderr.on('data', (chunk) => (err += chunk));
  // A refused pipe is closed while we still write.
  child.stdin.on('error', () => {});
  child.stdin.end(stdin);
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, out, err })));
}

const written = (name: string, bytes: Uint8Array): string => {
  const file = join(folder, name);
  writeFileSync(file, bytes);
  return file;
};

let a = '';
let b = '';
beforeAll(() => {
  execFileSync(process.execPath, [PROGRAM, 'leaky', folder], { env: { ...process.env, NODE_OPTIONS: '' } });
  a = join(folder, 'a.heapsnapshot');
  b = join(folder, 'b.heapsnapshot');
});

test('two snapshots with a leak: 1, and the culprit with file and line first', async () => {
  const { code, out, err } = await analyse([a, b]);
  expect(code).toBe(1);
  // A step that takes longer than two seconds prints a line.
  expect(err.replace(/^(reading .*|working out what holds what)\n/gm, '')).toBe('');
  const line =
    readFileSync(PROGRAM, 'utf8')
      .split('\n')
      .findIndex((text) => text.endsWith('culprit buffers')) + 1;
  expect(out).toContain('1. frames (Array): +300 Buffer');
  expect(out).toContain(`${PROGRAM}:${line}`);
});

describe('earlier snapshots read on a second thread', () => {
  const { analyseFiles, readEarlierFilesInThread } = {
    ...(require(join(ROOT, 'dist', 'analyse', 'index.js')) as typeof import('../../src/analyse/index.ts')),
    ...(require(
      join(ROOT, 'dist', 'analyse', 'read-snapshots.js'),
    ) as typeof import('../../src/analyse/read-snapshots.ts')),
  };
  const outcome = (files: readonly string[], threads: boolean): Promise<unknown> =>
    analyseFiles(files, { threads }).catch(({ code, message }: { code: string; message: string }) => ({
      code,
      message,
    }));

  test('it is the thread that does it', async () => {
    expect((await readEarlierFilesInThread([a, b]))?.map(({ summary }) => summary.file)).toEqual([a, b]);
  });

  test('the answer is the same, for three files and gzipped ones too', async () => {
    const packed = written('a.gz', gzipSync(readFileSync(a), { level: 1 }));
    for (const files of [
      [packed, b],
      [a, a, b],
    ]) {
      const together = await outcome(files, true);
      expect(together).toMatchObject({ clean: false, matchedBy: 'id' });
      expect(together).toEqual(await outcome(files, false));
    }
  });

  test('so is the complaint, about the first file that has a fault', async () => {
    const whole = readFileSync(a);
    const cut = written('cut.heapsnapshot', whole.subarray(0, whole.length / 2));
    const none = written('none.heapsnapshot', Buffer.from('nothing of the kind'));
    for (const files of [
      [cut, b],
      [a, none],
      [cut, none],
      [a, cut, none],
    ]) {
      const together = await outcome(files, true);
      expect(together).toMatchObject({ code: expect.stringMatching(/^WSGUARD_SNAPSHOT_/) as string });
      expect(together).toEqual(await outcome(files, false));
    }
  });
});

test('the same file twice: 0, and why it is clean', async () => {
  const { code, out } = await analyse([a, a, '--json']);
  expect(code).toBe(0);
  const analysis = expectValid('analysis', JSON.parse(out) as Analysis);
  expect(analysis).toMatchObject({ schema: 'wsguard.analysis/1', suspects: [], clean: true });
  expect(analysis.because).toBe('No container grew.');
});

test('one snapshot gives exit code 0; gzipped and through a pipe too', async () => {
  const plain = await analyse([b, '--json']);
  const packed = await analyse([written('b.gz', gzipSync(readFileSync(b), { level: 1 })), '--json']);
  const piped = await analyse(['-', '--json'], readFileSync(b));
  const pipedAndPacked = await analyse(['-', '--json'], gzipSync(readFileSync(b), { level: 1 }));
  const contents = [plain, packed, piped, pipedAndPacked].map(({ code, out }) => {
    expect(code).toBe(0);
    const { snapshots, ...rest } = expectValid('analysis', JSON.parse(out) as Analysis);
    return { ...rest, nodes: snapshots[0]!.nodes };
  });
  expect(contents[0]!.holders.length).toBeGreaterThan(0);
  expect(contents).toEqual(contents.map(() => contents[0]));
});

/** Gzip of level 0 keeps the bytes as they are: the change is read as content, and only the checksum shows it. */
const changedByte = (packed: Buffer): Buffer => packed.fill('x', 2_000_000, 2_000_001);

test.each([
  ['cut', () => readFileSync(b).subarray(0, 2_000_000), 'TRUNCATED'],
  ['cut and gzipped', () => gzipSync(readFileSync(b)).subarray(0, 200_000), 'TRUNCATED'],
  // The decoder may see wrong content, such as an unknown node type, before zlib sees the damage.
  ['damaged and gzipped', () => gzipSync(readFileSync(b)).fill(0xff, 5000, 5100), 'GZIP'],
  ['a changed byte, stored in gzip', () => changedByte(gzipSync(readFileSync(b), { level: 0 })), 'GZIP'],
  ['empty', () => Buffer.alloc(0), 'NOT_ONE'],
  ['256 MB of zeros, packed', () => gzipSync(Buffer.alloc(1 << 28)), 'NOT_ONE'],
  ['blanks for ever, packed', () => bomb(), 'SYNTAX|GZIP'],
])('%s: 3, a code and a hint', async (_what, make, code) => {
  const { code: exit, out, err } = await analyse([written('hostile', make())]);
  expect(exit).toBe(3);
  expect(out).toBe('');
  expect(err).toMatch(new RegExp(`WSGUARD_SNAPSHOT_(${code})`));
  expect(err.trim().split('\n').length).toBeGreaterThanOrEqual(1);
});

function bomb(): Buffer {
  const head = readFileSync(a).subarray(0, 1500);
  const front = head.subarray(0, head.indexOf('"nodes":[') + 9);
  return gzipSync(Buffer.concat([front, Buffer.alloc(1 << 28, ' ')]));
}

test('wrong use is 2', async () => {
  expect((await analyse([])).code).toBe(2);
  expect((await analyse([a, b, a, b])).code).toBe(2);
  expect((await analyse([a, '--colour'])).code).toBe(2);
  expect((await analyse(['-', '-'])).code).toBe(2);
});
