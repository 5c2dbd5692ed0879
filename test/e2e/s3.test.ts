/** A leaky server under the preload uploads its snapshots to a real S3 server. AWS credentials stay inside. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { AGENT, endChildren, removeFolder, ROOT, startChild } from '../support/child.ts';
import { describeWith, locateComponent, startComponent, type S3Store } from '../support/components.ts';
import { eventually } from '../support/eventually.ts';
import { IDENTITY } from '../support/run.ts';
import { LEAKS, startCase, waitFor, type Case } from '../support/lab.ts';

afterEach(endChildren);

const FOUND_WITHIN_MS = 150_000;
const filesBelow = (dir: string): string[] =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1))
    .toSorted();
const sha256 = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');
const isSnapshot = (file: string): boolean => /\.heapsnapshot(?:\.gz)?$/.test(file);

describeWith(['versitygw'], 'snapshots in an S3 bucket', () => {
  let store: S3Store;
  beforeAll(async () => (store = await startComponent('versitygw', { buckets: ['snapshots', 'restored'] })));
  afterAll(() => store.stop());

  const credentials = () => ({
    AWS_ACCESS_KEY_ID: store.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: store.credentials.secretAccessKey,
    AWS_SESSION_TOKEN: '',
  });

  test('the snapshots of an alert arrive whole, and beside them only their claim', async () => {
    const leaky = await startCase('registry', 'leaky', LEAKS['registry'] as Case, {
      env: {
        ...credentials(),
        WSGUARD_S3_BUCKET: 'snapshots',
        WSGUARD_S3_PREFIX: 'chat',
        WSGUARD_S3_ENDPOINT: store.url,
        WSGUARD_PAUSE_BUDGET_MS: '20000',
        WSGUARD_PROMETHEUS_PORT: '0',
      },
      nodeArgs: ['--max-old-space-size=64'],
    });
    const { app } = leaky;
    try {
      const named = await app.waitForTransition(({ culprit }) => culprit !== null, {
        deadlineMs: FOUND_WITHIN_MS,
        what: 'a culprit',
      });
      const bucket = join(store.dir, 'snapshots');
      // versitygw keeps requests that it is receiving in a folder of the bucket.
      const inBucket = (): string[] => filesBelow(bucket).filter((file) => !file.startsWith('.sgwtmp/'));
      const uploaded = (): string[] => inBucket().filter((file) => !file.startsWith('chat/claims/'));
      // The agent may take another snapshot at any time.
      const files = await waitFor(
        () => {
          const onDisk = filesBelow(app.dir).filter(isSnapshot);
          const keys = onDisk.map((file) => join('chat', file));
          return keys.length > 0 && keys.join() === uploaded().join() ? onDisk : null;
        },
        { what: 'a bucket with the snapshots of the alert' },
      );
      const claims = inBucket().filter((file) => file.startsWith('chat/claims/'));
      expect(claims.length).toBe(1);
      expect(files[0]).toMatch(new RegExp(`^${named.id}/`));
      for (const file of files) expect(sha256(join(bucket, 'chat', file))).toBe(sha256(join(app.dir, file)));

      const [, page = ''] = /prometheus (http:[^"\s,]+)/.exec(app.stderr()) ?? [];
      const metrics = await waitFor(
        async () => {
          const text = await (await fetch(page)).text();
          return /^wsguard_agent_deliveries_total\{[^}]*sink="s3"[^}]*outcome="delivered"[^}]*\} [1-9]/m.test(
            text,
          )
            ? text
            : null;
        },
        { what: 'the metric of a delivery to s3' },
      );
      expect(app.stderr()).toContain('s3 snapshots');
      const texts = filesBelow(app.dir)
        .filter((file) => !isSnapshot(file))
        .map((file) => readFileSync(join(app.dir, file), 'utf8'));
      for (const text of [app.stderr(), app.stdout(), metrics, ...texts])
        for (const secret of Object.values(store.credentials)) expect(text).not.toContain(secret);
    } finally {
      await leaky.stop();
    }
  });

  test('an upload of a process that was killed is done by the agent of the next process', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'wsguard-s3-'));
    try {
      const file = join(dir, 'heap.heapsnapshot.gz');
      writeFileSync(file, randomBytes(40 * MEBIBYTE));
      const killed = startChild({
        files: {},
        args: ['-e', KILLED_IN_UPLOAD, dir, store.url, file],
        env: credentials(),
      });
      expect((await killed.exited).signal).toBe('SIGKILL');
      const target = join(store.dir, 'restored', 'chat', 'a1', 'heap.heapsnapshot.gz');
      expect(existsSync(target)).toBe(false);
      startChild({
        files: { 'main.js': `require('node:http').createServer().listen(0);` },
        nodeArgs: ['--require', AGENT],
        env: {
          ...credentials(),
          WSGUARD_DIR: dir,
          WSGUARD_S3_BUCKET: 'restored',
          WSGUARD_S3_PREFIX: 'chat',
          WSGUARD_S3_ENDPOINT: store.url,
        },
      });
      await eventually(() => existsSync(target), 'the object');
      expect(sha256(target)).toBe(sha256(file));
      await eventually(() => filesBelow(dir).every((name) => !name.includes('/outbox/')), 'an empty outbox');
      // Parts of the upload that was cut off are gone.
      expect(filesBelow(join(store.dir, 'restored'))).toEqual(['chat/a1/heap.heapsnapshot.gz']);
    } finally {
      await endChildren();
      removeFolder(dir);
    }
  });
});

/** Begins a multipart upload, and kills itself when the id of the upload is in the outbox. `argv`: directory, URL, file. */
const KILLED_IN_UPLOAD = `
const fs = require('node:fs');
const { join } = require('node:path');
const [, dir, endpoint, file] = process.argv;
const load = (name) => require(${JSON.stringify(join(ROOT, 'dist'))} + '/' + name);
const identity = { ...${JSON.stringify(IDENTITY)}, service: 'test', host: '${hostname()}', instance: 'first', pid: process.pid };
const clock = load('core/clock.js').createClock();
load('deliver/black-box.js').openBlackBox(dir, identity, Date.now());
const credentials = load('deliver/s3/credentials.js').createCredentialSource(process.env, 'us-east-1');
const target = { bucket: 'restored', region: 'us-east-1', endpoint, pathStyle: 'auto', credentials, clock };
const outbox = { dir, identity, onUnwritable: console.log };
load('deliver/s3/s3-upload.js')
  .createS3Upload({ clock, target, prefix: 'chat', redact: 'on', outbox, onRetry: console.log })
  .send({ alertId: 'a1', file, redacted: true });
const folder = join(dir, 'first', 'outbox', 's3');
setInterval(() => {
  for (const name of fs.readdirSync(folder))
    if (fs.readFileSync(join(folder, name), 'utf8').includes('multipartId')) process.kill(process.pid, 'SIGKILL');
}, 1);`;
const MEBIBYTE = 1024 ** 2;

/** Prints the credentials that the built agent gets from the chain of the SDK. */
const READ_CREDENTIALS = `
const { createCredentialSource } = require(${JSON.stringify(join(ROOT, 'dist', 'deliver', 's3', 'credentials.js'))});
createCredentialSource(process.env, 'us-east-1')().then((found) => console.log('found ' + JSON.stringify(found)));`;

describeWith(['awssdk'], 'credentials of a role', () => {
  test('come from the chain of @aws-sdk/client-s3', async () => {
    const role = { AccessKeyId: 'key', SecretAccessKey: 'secret', Token: 'token' };
    const expiration = new Date(Date.now() + 3_600_000).toISOString();
    const metadata = createServer((_, response) =>
      response.end(JSON.stringify({ ...role, Expiration: expiration })),
    ).listen(0, '127.0.0.1');
    await once(metadata, 'listening');
    const { port } = metadata.address() as AddressInfo;
    const foundWith = async (uri: string): Promise<unknown> => {
      const child = startChild({
        files: { 'main.js': READ_CREDENTIALS },
        bare: true,
        env: {
          NODE_PATH: locateComponent('awssdk') ?? '',
          AWS_EC2_METADATA_DISABLED: 'true',
          HOME: '/nonexistent',
          AWS_CONTAINER_CREDENTIALS_FULL_URI: uri,
        },
      });
      const [, found = ''] = await child.stdoutMatch(/found (\{.*\})/);
      return JSON.parse(found);
    };
    try {
      expect(await foundWith(`http://127.0.0.1:${port}/`)).toEqual({
        accessKeyId: 'key',
        secretAccessKey: 'secret',
        sessionToken: 'token',
      });
      expect(await foundWith('http://127.0.0.1:1/')).toEqual({
        reason: expect.stringMatching(/are not set, and @aws-sdk\/client-s3 found none \(\w+\)$/) as string,
      });
    } finally {
      metadata.close();
    }
  });
});

/**
 * Prints whether a string of the heap contains the secret. Its parts are joined at run time, so that this text does not contain
 * it: from Node 24 on, V8 joins two literals when it compiles.
 */
const FIND_SECRET = `
const agent = require(${JSON.stringify(AGENT)}).start(JSON.parse(process.argv[2] ?? '{}'));
(async () => {
  while ((await agent.status()).watcher !== 'running');
  const chunks = [];
  for await (const chunk of require('node:v8').getHeapSnapshot()) chunks.push(chunk);
  console.log('secret ' + Buffer.concat(chunks).includes(['hunter', 'secret'].join('2')));
})();
setInterval(() => {}, 1000);`;

test.each([
  ['with a bucket the agent has the credentials', { WSGUARD_S3_BUCKET: 'snapshots' }, true],
  ['without a bucket it does not read them', {}, false],
  ['without a bucket in the settings file it forgets them', { WSGUARD_CONFIG: 'settings.json' }, false],
])('%s', async (_, env, expected) => {
  const child = startChild({
    files: {
      'main.js': `require('node:http').createServer().listen(0);${FIND_SECRET}`,
      'settings.json': '{"s3Prefix":"chat"}',
    },
    nodeArgs: ['--require', AGENT],
    env: {
      AWS_ACCESS_KEY_ID: 'key',
      AWS_SECRET_ACCESS_KEY: 'hunter2secret',
      WSGUARD_S3_ENDPOINT: 'http://127.0.0.1:1',
      ...env,
    },
  });
  const [, secret] = await child.stdoutMatch(/secret (\w+)/);
  expect(secret).toBe(String(expected));
  await eventually(() => child.logLines().length > 0, 'a log line');
  expect(child.stderr()).not.toContain('hunter2');
});

test('start() can name the bucket', async () => {
  const child = startChild({
    files: { 'main.js': FIND_SECRET.replace('process.argv[2]', `'{"s3Bucket":"snapshots"}'`) },
    env: {
      AWS_ACCESS_KEY_ID: 'key',
      AWS_SECRET_ACCESS_KEY: 'hunter2secret',
      WSGUARD_S3_ENDPOINT: 'http://127.0.0.1:1',
    },
  });
  const [, secret] = await child.stdoutMatch(/secret (\w+)/);
  expect(secret).toBe('true');
});
