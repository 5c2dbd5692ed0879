import { spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  openSync,
  existsSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFileSink } from '../../../src/deliver/file-sink.ts';
import { alertOf } from '../../support/alerts.ts';
import { asRoot, onLinux } from '../../support/platform.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'wsguard-file-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8);
const linesOf = (path: string): { n: number }[] =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { n: number });

test('the first alert creates the directory, readable by this user only and ignored by git', async () => {
  const dir = join(root, 'deep', 'wsguard');
  const sink = createFileSink({ dir });
  expect(existsSync(dir)).toBe(false);
  expect(await sink.appendAlert(alertOf())).toEqual({ outcome: 'delivered' });
  expect(modeOf(dir)).toBe('700');
  expect(readFileSync(join(dir, '.gitignore'), 'utf8')).toBe('*\n');
  expect(modeOf(join(dir, 'alerts.ndjson'))).toBe('600');
});

test('alerts are appended in order, one line each', async () => {
  const sink = createFileSink({ dir: root });
  await Promise.all([0, 1, 2, 3].map((n) => sink.appendAlert(alertOf({ n }))));
  expect(linesOf(join(root, 'alerts.ndjson')).map(({ n }) => n)).toEqual([0, 1, 2, 3]);
});

test('an existing directory keeps its mode and gets no .gitignore', async () => {
  const dir = join(root, 'own');
  mkdirSync(dir, { mode: 0o755 });
  await createFileSink({ dir }).appendAlert(alertOf());
  expect(modeOf(dir)).toBe('755');
  expect(readdirSync(dir)).toEqual(['alerts.ndjson']);
});

test('rotates at the size limit without losing or breaking a line', async () => {
  const bytes = JSON.stringify(alertOf()).length + 1;
  const sink = createFileSink({ dir: root, maxBytes: 3 * bytes });
  for (let n = 0; n < 5; n += 1) await sink.appendAlert(alertOf({ n }));
  expect(linesOf(join(root, 'alerts.1.ndjson')).map(({ n }) => n)).toEqual([0, 1, 2]);
  expect(linesOf(join(root, 'alerts.ndjson')).map(({ n }) => n)).toEqual([3, 4]);
});

test('writes reports into the folder of the alert with mode 0600, and leaves no temporary file', async () => {
  const sink = createFileSink({ dir: root });
  expect(await sink.writeReport('abc', { 'report.json': '{}', 'report.txt': 'x' })).toEqual({
    outcome: 'delivered',
  });
  expect(readdirSync(join(root, 'abc')).toSorted()).toEqual(['report.json', 'report.txt']);
  expect(modeOf(join(root, 'abc', 'report.json'))).toBe('600');
  expect(modeOf(join(root, 'abc'))).toBe('700');
});

test('an id cannot name a folder outside the directory', async () => {
  const dir = join(root, 'wsguard');
  await createFileSink({ dir }).writeReport('../../etc', { 'report.txt': 'x' });
  expect(readFileSync(join(dir, '______etc', 'report.txt'), 'utf8')).toBe('x');
  expect(readdirSync(root)).toEqual(['wsguard']);
});

test('reports a directory that cannot be created, and tries again with the next alert', async () => {
  const dir = join(root, 'file', 'wsguard');
  writeFileSync(join(root, 'file'), '');
  const sink = createFileSink({ dir });
  expect(await sink.appendAlert(alertOf())).toMatchObject({
    outcome: 'dropped',
    code: 'WSGUARD_DIR_UNWRITABLE',
    reason: `${dir}: ENOTDIR`,
  });
  rmSync(join(root, 'file'));
  expect(await sink.appendAlert(alertOf())).toEqual({ outcome: 'delivered' });
});

test('writes a line break first when the last line is incomplete', async () => {
  writeFileSync(join(root, 'alerts.ndjson'), '{"schema":"wsgu');
  await createFileSink({ dir: root }).appendAlert(alertOf());
  const [torn, whole] = readFileSync(join(root, 'alerts.ndjson'), 'utf8').split('\n');
  expect(torn).toBe('{"schema":"wsgu');
  expect(JSON.parse(whole ?? '')).toMatchObject({ id: 'a1b2c3' });
});

onLinux('reports a full disk', async () => {
  const sink = createFileSink({ dir: root });
  // /dev/full fails every write with ENOSPC.
  symlinkSync('/dev/full', join(root, 'alerts.ndjson'));
  expect(await sink.appendAlert(alertOf())).toMatchObject({ outcome: 'dropped', code: 'WSGUARD_DISK_FULL' });
  rmSync(join(root, 'alerts.ndjson'));
  expect(await sink.appendAlert(alertOf())).toEqual({ outcome: 'delivered' });
  expect(linesOf(join(root, 'alerts.ndjson'))).toHaveLength(1);
});

describe('symbolic links', () => {
  test('a link of this user is followed, for example to /dev/stdout', async () => {
    const dir = root;
    writeFileSync(join(dir, 'elsewhere'), '');
    symlinkSync('elsewhere', join(dir, 'alerts.ndjson'));
    expect(await createFileSink({ dir }).appendAlert(alertOf())).toEqual({ outcome: 'delivered' });
    expect(readFileSync(join(dir, 'elsewhere'), 'utf8')).toContain(alertOf().id);
  });

  test('a link with the name of the temporary file is replaced, not followed', async () => {
    const dir = root;
    writeFileSync(join(dir, 'victim'), 'precious');
    mkdirSync(join(dir, 'a'));
    symlinkSync('../victim', join(dir, 'a', `report.json.${process.pid}.tmp`));
    expect(await createFileSink({ dir }).writeReport('a', { 'report.json': '{}' })).toEqual({
      outcome: 'delivered',
    });
    expect(readFileSync(join(dir, 'victim'), 'utf8')).toBe('precious');
    expect(readFileSync(join(dir, 'a', 'report.json'), 'utf8')).toBe('{}');
  });

  asRoot('a link of another user is refused', async () => {
    const dir = root;
    writeFileSync(join(dir, 'victim'), 'precious');
    symlinkSync('victim', join(dir, 'alerts.ndjson'));
    lchownSync(join(dir, 'alerts.ndjson'), 4_711, 4_711);
    expect(await createFileSink({ dir }).appendAlert(alertOf())).toMatchObject({
      outcome: 'dropped',
      code: 'WSGUARD_DIR_UNWRITABLE',
    });
    expect(readFileSync(join(dir, 'victim'), 'utf8')).toBe('precious');
  });
});

onLinux('a FIFO in place of alerts.ndjson is refused at once, with and without a reader', async () => {
  const fifo = join(root, 'alerts.ndjson');
  spawnSync('mkfifo', [fifo]);
  const refused = { outcome: 'dropped', code: 'WSGUARD_DIR_UNWRITABLE' };
  expect(await createFileSink({ dir: root }).appendAlert(alertOf())).toMatchObject(refused);
  const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
  expect(await createFileSink({ dir: root }).appendAlert(alertOf())).toMatchObject(refused);
  closeSync(reader);
});
