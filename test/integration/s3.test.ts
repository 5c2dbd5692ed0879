import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClock } from '../../src/core/clock.ts';
import { requestS3, type S3Target } from '../../src/deliver/s3/s3-client.ts';
import { createS3Upload, PART_BYTES } from '../../src/deliver/s3/s3-upload.ts';
import type { Delivery } from '../../src/types/index.ts';
import { describeWith, startComponent, type S3Store } from '../support/components.ts';
import { eventually } from '../support/eventually.ts';

describeWith(['versitygw'], 'uploads to S3', () => {
  let store: S3Store;
  let dir = '';
  beforeAll(async () => (store = await startComponent('versitygw')));
  afterAll(() => store.stop());
  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'wsguard-s3-'))));
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  const targetOf = (more: Partial<S3Target> = {}): S3Target => ({
    bucket: 'snapshots',
    region: 'us-east-1',
    endpoint: store.url,
    pathStyle: 'auto',
    credentials: () => Promise.resolve(store.credentials),
    clock: createClock(),
    ...more,
  });

  function open(target: S3Target) {
    const retries: Delivery[] = [];
    const upload = createS3Upload({
      target,
      prefix: 'wsguard',
      redact: 'on',
      clock: target.clock,
      onRetry: (delivery) => retries.push(delivery),
    });
    return { upload, retries };
  }

  function fileOf(bytes: number, name = 'heap ü+1.heapsnapshot.gz') {
    const file = join(dir, name);
    const content = randomBytes(bytes);
    writeFileSync(file, content);
    return { content, item: { alertId: 'a1b2', file, redacted: true } };
  }

  const storedObject = (name = 'heap ü+1.heapsnapshot.gz'): Buffer =>
    readFileSync(join(store.dir, 'snapshots', 'wsguard', 'a1b2', name));

  test.each([0, 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES + 12_345])(
    'a file of %d bytes',
    async (bytes) => {
      const { content, item } = fileOf(bytes);
      expect(await open(targetOf()).upload.send(item)).toEqual({ outcome: 'delivered' });
      expect(storedObject().equals(content)).toBe(true);
    },
  );

  test('an upload that was cut off is aborted, and the file is sent anew', async () => {
    const { content, item } = fileOf(PART_BYTES + 1);
    const key = 'wsguard/a1b2/heap ü+1.heapsnapshot.gz';
    const begun = await requestS3(targetOf(), { method: 'POST', key, query: { uploads: '' } });
    const multipartId = begun.outcome === 'reply' ? /<UploadId>(.+)<\/UploadId>/.exec(begun.text)?.[1] : '';
    if (!multipartId) throw new Error('no upload id');
    expect(await open(targetOf()).upload.send({ ...item, multipartId })).toEqual({ outcome: 'delivered' });
    expect(storedObject().equals(content)).toBe(true);
    const list = await requestS3(targetOf(), { method: 'GET', key: '', query: { uploads: '' } });
    expect(list).toMatchObject({ outcome: 'reply', status: 200 });
    expect(JSON.stringify(list)).not.toContain(multipartId);
  });

  test.each<[string, () => Partial<S3Target>, object]>([
    [
      'a wrong secret',
      () => ({ credentials: () => Promise.resolve({ ...store.credentials, secretAccessKey: 'wrong' }) }),
      { code: 'WSGUARD_S3_CREDENTIALS', reason: 'HTTP status 403 SignatureDoesNotMatch' },
    ],
    [
      'an unknown key',
      () => ({ credentials: () => Promise.resolve({ ...store.credentials, accessKeyId: 'unknown' }) }),
      { code: 'WSGUARD_S3_CREDENTIALS' },
    ],
    [
      'no credentials',
      () => ({ credentials: () => Promise.resolve({ reason: 'not set' }) }),
      { code: 'WSGUARD_S3_NO_CREDENTIALS', reason: 'not set' },
    ],
    ['a missing bucket', () => ({ bucket: 'missing' }), { code: 'WSGUARD_S3_NO_BUCKET' }],
    [
      'a clock that is 20 min ahead',
      () => {
        const clock = createClock();
        return { clock: { ...clock, wallMs: () => clock.wallMs() + 20 * 60_000 } };
      },
      { code: 'WSGUARD_S3_CLOCK', reason: expect.stringMatching(/this clock is 20 min ahead$/) },
    ],
    [
      'no server',
      () => ({ endpoint: 'http://127.0.0.1:1' }),
      { code: 'WSGUARD_S3_FAILED', reason: 'ECONNREFUSED' },
    ],
  ])('%s has its code and is tried again', async (_, more, expected) => {
    const { upload, retries } = open(targetOf(more()));
    const outcome = upload.send(fileOf(10).item);
    await eventually(() => retries.length > 0, 'a retry');
    expect(retries[0]).toMatchObject({ outcome: 'retry', ...expected });
    upload.stop();
    expect(await outcome).toMatchObject({ outcome: 'dropped', code: 'WSGUARD_OUTBOX' });
  });
});
