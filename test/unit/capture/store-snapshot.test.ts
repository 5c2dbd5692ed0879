import { mkdtempSync, openSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { storeSnapshot, type StoreJob } from '../../../src/capture/store-snapshot.ts';
import { HeapSnapshotBuilder } from '../../support/heap-snapshot-builder.ts';

let dir: string;
let from: string;
let to: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'wsguard-store-snapshot-'));
  from = join(dir, 'raw.heapsnapshot');
  to = join(dir, 'stored');
  const heap = new HeapSnapshotBuilder();
  heap.edge(heap.node('object', 'ChatServer'), 'property', 'last', heap.node('string', 'hunter2 secret'));
  writeFileSync(from, heap.toBuffer());
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const job = (over: Partial<StoreJob> = {}): StoreJob => ({
  from,
  to,
  redact: true,
  gzip: false,
  owner: process.pid,
  ...over,
});

test('stores a private copy without secrets and returns its counts', async () => {
  const ready = jest.fn();
  const stored = await storeSnapshot(job(), ready);
  const text = readFileSync(to, 'utf8');
  expect(text).toContain('ChatServer');
  expect(text).not.toContain('hunter2');
  expect(stored).toEqual({ nodes: 2, unpackedBytes: text.length });
  expect(statSync(to).mode & 0o777).toBe(0o600);
  expect(ready).toHaveBeenCalledTimes(1);
});

test('reads a descriptor and writes gzip', async () => {
  const { unpackedBytes } = await storeSnapshot(job({ from: openSync(from, 'r'), gzip: true }), () => {});
  const text = gunzipSync(readFileSync(to)).toString();
  expect(text).toHaveLength(unpackedBytes);
  expect(text).not.toContain('hunter2');
});

test('without redaction the bytes are those of the input', async () => {
  await storeSnapshot(job({ from: openSync(from, 'r'), redact: false, gzip: true }), () => {});
  expect(gunzipSync(readFileSync(to))).toEqual(readFileSync(from));
});

test.each([true, false])('an input that ends too early leaves no file (redact: %p)', async (redact) => {
  writeFileSync(from, readFileSync(from).subarray(0, -10));
  const stored = storeSnapshot(job({ redact }), () => {});
  await expect(stored).rejects.toMatchObject({ code: 'WSGUARD_SNAPSHOT_TRUNCATED' });
  expect(readdirSync(dir)).toEqual(['raw.heapsnapshot']);
});

test('an empty input leaves no file', async () => {
  writeFileSync(from, '');
  await expect(storeSnapshot(job({ redact: false }), () => {})).rejects.toMatchObject({
    code: expect.stringMatching(/^WSGUARD_SNAPSHOT_/),
  });
  expect(readdirSync(dir)).toEqual(['raw.heapsnapshot']);
});

test('an output that cannot be opened, or exists, is an error before the input is needed', async () => {
  const ready = jest.fn();
  const stored = storeSnapshot(job({ to: join(dir, 'none', 'stored') }), ready);
  await expect(stored).rejects.toMatchObject({ code: 'ENOENT' });
  writeFileSync(to, 'of somebody else');
  await expect(storeSnapshot(job(), ready)).rejects.toMatchObject({ code: 'EEXIST' });
  expect(ready).not.toHaveBeenCalled();
  expect(readFileSync(to, 'utf8')).toBe('of somebody else');
});
