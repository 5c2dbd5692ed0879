import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { HeapSnapshotter } from '../../../src/capture/heap-snapshotter.ts';
import type { HeapSnapshotterOptions } from '../../../src/capture/heap-snapshotter.ts';
import type { UnfinishedSnapshot } from '../../../src/types/index.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'wsguard-snapshotter-'))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const NODES = 123_456;
const CONTENT = `{"snapshot":{"meta":{},"node_count":${NODES},"edge_count":9}}`;
const ROOMY = {
  heapCapacityBytes: 1e15,
  containerBytes: null,
  containerUsedBytes: null,
  availableBytes: null,
};

/** A snapshotter whose file takes 250 ms to write; the heap of the test process is not written. */
function create(over: Partial<HeapSnapshotterOptions> & { redact?: boolean } = {}) {
  const clock = createFakeClock();
  const { redact = true, ...options } = over;
  const snapshotter = new HeapSnapshotter({
    limits: () => ROOMY,
    clock,
    writeSnapshot(file) {
      clock.advance(250);
      writeFileSync(file, CONTENT);
    },
    ...options,
  });
  const take = (folder = dir) => snapshotter.write({ dir: folder, label: 'after deploy', redact });
  return { take, clock, snapshotter };
}

test('writes a hidden temporary file for redaction and measures its cost', () => {
  const snapshot = create().take(join(dir, 'new')) as UnfinishedSnapshot;
  expect(snapshot).toMatchObject({
    outcome: 'written',
    method: 'inprocess',
    pauseMs: 250,
    bytes: CONTENT.length,
    redacted: false,
    learned: { nodes: NODES, pauseMs: 250, fileBytes: CONTENT.length },
  });
  expect(snapshot.learned.smallObjectBytes).toBeGreaterThan(1e6);
  expect(basename(snapshot.finalFile)).toMatch(/^heap-\d{13}-after-deploy\.heapsnapshot$/);
  expect(basename(snapshot.file)).toMatch(new RegExp(`^\\.wsguard-[\\da-f]{24}\\.${process.pid}\\.tmp$`));
  expect(dirname(snapshot.file)).toBe(join(dir, 'new', '.raw'));
  expect(statSync(snapshot.file).mode & 0o777).toBe(0o600);
  expect(statSync(dirname(snapshot.file)).mode & 0o777).toBe(0o700);
  expect(readFileSync(snapshot.file, 'utf8')).toBe(CONTENT);
  expect(existsSync(snapshot.finalFile)).toBe(false);
  expect(statSync(join(dir, 'new')).mode & 0o777).toBe(0o700);
});

test('writes the final file when there is no redaction, each under its own name', () => {
  const { take } = create({ redact: false, writeSnapshot: (file) => writeFileSync(file, CONTENT) });
  const files = [take(), take()].map((snapshot) => (snapshot as UnfinishedSnapshot).file);
  expect(new Set(files).size).toBe(2);
  expect(readdirSync(dir).sort()).toEqual(files.map((file) => basename(file)).sort());
});

test('reads what the decision needs', () => {
  const readings = create().snapshotter.readings(join(dir, 'new'), dir);
  expect(readings).toMatchObject({ heapCapacityBytes: 1e15, directoryRefused: null });
  expect(readings.rssBytes).toBeGreaterThan(readings.heapBytes);
  expect(readings.diskFreeBytes).toBeGreaterThan(0);
});

test('calls duringPause around the write only', () => {
  const calls: string[] = [];
  const { take } = create({
    duringPause(write) {
      calls.push('before');
      const result = write();
      calls.push(result === undefined ? 'nothing' : 'after');
      return result;
    },
  });
  expect(calls).toEqual([]);
  take();
  expect(calls).toEqual(['before', 'after']);
});

test('fails with a code and removes the unfinished file when the write fails', () => {
  const { take } = create({
    writeSnapshot(file) {
      writeFileSync(file, 'half');
      throw Object.assign(new Error('disk full'), { code: 'ENOSPC' });
    },
  });
  expect(take()).toEqual({ outcome: 'failed', code: 'WSGUARD_CAPTURE_DISK_FULL', reason: 'disk full' });
  expect(readdirSync(dir)).toEqual([]);
  writeFileSync(join(dir, 'file'), '');
  expect(take(join(dir, 'file', 'below')).outcome).toBe('failed');
});
