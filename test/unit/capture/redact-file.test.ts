import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { redactFile } from '../../../src/capture/redact-file.ts';
import { HeapSnapshotBuilder } from '../../support/heap-snapshot-builder.ts';

let dir: string;
let from: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'wsguard-redact-file-'));
  from = join(dir, 'raw.heapsnapshot');
  const heap = new HeapSnapshotBuilder();
  heap.edge(heap.node('object', 'ChatServer'), 'property', 'last', heap.node('string', 'hunter2 secret'));
  writeFileSync(from, heap.toBuffer());
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test('writes a private copy without secrets and returns its counts', async () => {
  const to = join(dir, 'copy.heapsnapshot');
  const counts = await redactFile({ from, to });
  const text = readFileSync(to, 'utf8');
  expect(text).toContain('ChatServer');
  expect(text).not.toContain('hunter2');
  expect(counts).toMatchObject({ masked: 2, bytes: text.length });
  expect(statSync(to).mode & 0o777).toBe(0o600);
});

test('reads gzip by its content and writes gzip by the name', async () => {
  const packed = join(dir, 'packed');
  writeFileSync(packed, gzipSync(readFileSync(from)));
  const to = join(dir, 'copy.heapsnapshot.gz');
  await redactFile({ from: packed, to });
  expect(gunzipSync(readFileSync(to)).toString()).toContain('ChatServer');
});

test('rejects a file that is not a snapshot and leaves no file', async () => {
  writeFileSync(from, readFileSync(from, 'utf8').slice(0, -40));
  const to = join(dir, 'copy.heapsnapshot');
  await expect(redactFile({ from, to })).rejects.toMatchObject({ code: 'WSGUARD_SNAPSHOT_TRUNCATED' });
  expect(readdirSync(dir)).toEqual(['raw.heapsnapshot']);
});

test('rejects an input that does not exist', async () => {
  const to = join(dir, 'copy.heapsnapshot');
  await expect(redactFile({ from: join(dir, 'none'), to })).rejects.toMatchObject({
    code: 'WSGUARD_SNAPSHOT_UNREADABLE',
  });
  expect(readdirSync(dir)).toEqual(['raw.heapsnapshot']);
});

test('rejects an output that cannot be created', async () => {
  const to = join(dir, 'no', 'such', 'copy');
  await expect(redactFile({ from, to })).rejects.toMatchObject({ code: 'ENOENT' });
  expect(existsSync(to)).toBe(false);
});
