import { createHash, createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type RequestListener, type Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClock } from '../../src/core/clock.ts';
import { createUpload } from '../../src/deliver/upload.ts';
import { createWebhook } from '../../src/deliver/webhook.ts';
import type { Clock, Delivery } from '../../src/types/index.ts';
import { alertOf } from '../support/alerts.ts';
import { makeCertificate } from '../support/certificate.ts';
import { freePorts } from '../support/components.ts';
import { eventually } from '../support/eventually.ts';

const DEADLINE_MS = 10_000;
const deadlines = new Set<() => void>();
/** Real time with waits 20 times shorter; a deadline of 10 s expires only when the test calls it. */
const clock: Clock = (() => {
  const real = createClock();
  const after: Clock['after'] = (ms, task) => {
    if (ms !== DEADLINE_MS) return real.after(ms / 20, task);
    deadlines.add(task);
    return () => void deadlines.delete(task);
  };
  return { ...real, after };
})();

interface ReceivedRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

const servers: Server[] = [];
afterEach(() => {
  deadlines.clear();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** Replies with the statuses of the list, then repeats the last one; `hang` never replies. */
async function receiver(replies: readonly (number | 'hang')[]) {
  const requests: ReceivedRequest[] = [];
  const listener: RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const reply = replies[Math.min(requests.length, replies.length - 1)];
      const { method = '', url = '', headers } = request;
      requests.push({ method, url, headers, body: Buffer.concat(chunks) });
      if (typeof reply === 'number') response.writeHead(reply).end('ok');
    });
  };
  const server = createServer(listener).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/hook?team=a`, requests, server, listener };
}

test('sends an alert with its idempotency key and signature', async () => {
  const { url, requests } = await receiver([200]);
  const webhook = createWebhook({ url, secret: 's3cret', clock });
  const alert = alertOf({ event: 'updated', n: 2 });
  expect(await webhook.send(alert)).toEqual({ outcome: 'delivered' });
  const [request] = requests;
  expect(request).toMatchObject({ method: 'POST', url: '/hook?team=a' });
  expect(request?.headers).toMatchObject({
    'content-type': 'application/json',
    'idempotency-key': 'a1b2c3/updated/2',
  });
  expect(JSON.parse(String(request?.body))).toEqual(alert);
  const signed = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(request?.headers['x-wsguard-signature']));
  const expected = createHmac('sha256', 's3cret').update(`${signed?.[1]}.${String(request?.body)}`);
  expect(signed?.[2]).toBe(expected.digest('hex'));
  expect(Math.abs(Number(signed?.[1]) - Date.now() / 1000)).toBeLessThan(60);
});

test('sends no signature without a secret', async () => {
  const { url, requests } = await receiver([204]);
  await createWebhook({ url, secret: null, clock }).send(alertOf());
  expect(requests[0]?.headers).not.toHaveProperty('x-wsguard-signature');
});

test('repeats after status 408, 429, 500 and 503 with the same key and body', async () => {
  const { url, requests } = await receiver([408, 429, 500, 503, 200]);
  const retries: Delivery[] = [];
  const webhook = createWebhook({ url, secret: 'x', clock, onRetry: (delivery) => retries.push(delivery) });
  expect(await webhook.send(alertOf())).toEqual({ outcome: 'delivered' });
  expect(requests).toHaveLength(5);
  expect(new Set(requests.map(({ headers }) => headers['idempotency-key'])).size).toBe(1);
  expect(new Set(requests.map(({ body }) => String(body))).size).toBe(1);
  expect(retries[2]).toMatchObject({ code: 'WSGUARD_WEBHOOK_FAILED', reason: 'HTTP status 500' });
});

test.each([301, 400, 401, 404, 410])('does not repeat after status %d', async (status) => {
  const { url, requests } = await receiver([status]);
  expect(await createWebhook({ url, secret: null, clock }).send(alertOf())).toEqual({
    outcome: 'dropped',
    code: 'WSGUARD_WEBHOOK_REJECTED',
    reason: `HTTP status ${status}`,
  });
  expect(requests).toHaveLength(1);
});

test('repeats after a deadline without a reply', async () => {
  const { url, requests } = await receiver(['hang', 200]);
  const retries: Delivery[] = [];
  const webhook = createWebhook({ url, secret: null, clock, onRetry: (delivery) => retries.push(delivery) });
  const outcome = webhook.send(alertOf());
  await eventually(() => requests.length === 1, 'the first attempt');
  for (const expire of deadlines) expire();
  expect(await outcome).toEqual({ outcome: 'delivered' });
  expect(requests).toHaveLength(2);
  expect(retries).toEqual([
    { outcome: 'retry', code: 'WSGUARD_WEBHOOK_FAILED', reason: 'no reply in 10000 ms' },
  ]);
});

test('repeats while the connection is refused', async () => {
  const { requests, listener } = await receiver([200]);
  const { port } = await freePorts(['port']);
  const url = `http://127.0.0.1:${port}/hook`;
  const retries: Delivery[] = [];
  const webhook = createWebhook({ url, secret: null, clock, onRetry: (delivery) => retries.push(delivery) });
  const outcome = webhook.send(alertOf());
  await eventually(() => retries.length >= 2, 'two attempts');
  expect(retries[0]).toMatchObject({ reason: 'ECONNREFUSED' });
  servers.push(createServer(listener).listen(port, '127.0.0.1'));
  expect(await outcome).toEqual({ outcome: 'delivered' });
  expect(requests).toHaveLength(1);
});

test('the queue stays bounded while every attempt fails, and stop drops the rest', async () => {
  const { url } = await receiver([500]);
  const webhook = createWebhook({ url, secret: null, clock });
  const outcomes = Array.from({ length: 300 }, (_, n) => webhook.send(alertOf({ n })));
  webhook.stop();
  const reasons = (await Promise.all(outcomes)).map((delivery) => 'reason' in delivery && delivery.reason);
  expect(reasons.filter((reason) => reason === 'more than 256 items are pending')).toHaveLength(44);
  expect(reasons.filter((reason) => reason === 'the agent is stopping')).toHaveLength(256);
});

test('uploads a file below its alert with its hash and signature', async () => {
  const { url, requests } = await receiver([200]);
  const file = join(mkdtempSync(join(tmpdir(), 'wsguard-up-')), 'heap 1.heapsnapshot');
  const content = Buffer.alloc(3_000_000, 'snapshot');
  writeFileSync(file, content);
  const upload = createUpload({ url, secret: 's3cret', clock, redact: 'on' });
  expect(await upload.send({ alertId: 'a1', file, redacted: true })).toEqual({ outcome: 'delivered' });
  const sha256 = createHash('sha256').update(content).digest('hex');
  const [request] = requests;
  expect(request).toMatchObject({ method: 'PUT', url: '/hook/a1/heap%201.heapsnapshot?team=a' });
  expect(request?.body.equals(content)).toBe(true);
  expect(request?.headers).toMatchObject({
    'content-length': '3000000',
    'x-wsguard-alert': 'a1',
    'x-wsguard-sha256': sha256,
  });
  const signed = /^t=(\d+),v1=(\w+)$/.exec(String(request?.headers['x-wsguard-signature']));
  const expected = createHmac('sha256', 's3cret').update(`${signed?.[1]}.${sha256}`).digest('hex');
  expect(signed?.[2]).toBe(expected);
});

test('uploads an unredacted file only with WSGUARD_REDACT=off', async () => {
  const { url, requests } = await receiver([200]);
  const file = { alertId: 'a1', file: __filename, redacted: false };
  expect(await createUpload({ url, secret: null, clock, redact: 'on' }).send(file)).toMatchObject({
    outcome: 'dropped',
    code: 'WSGUARD_UPLOAD_NOT_REDACTED',
  });
  expect(requests).toHaveLength(0);
  expect(await createUpload({ url, secret: null, clock, redact: 'off' }).send(file)).toEqual({
    outcome: 'delivered',
  });
});

test('reports a missing file, and repeats an interrupted upload', async () => {
  const { url } = await receiver([200]);
  const upload = createUpload({ url, secret: null, clock, redact: 'on' });
  expect(await upload.send({ alertId: 'a', file: '/nowhere/x', redacted: true })).toMatchObject({
    outcome: 'dropped',
    code: 'WSGUARD_UPLOAD_FILE',
    reason: '/nowhere/x: ENOENT',
  });
  let interruptions = 0;
  const breaking = createServer((request, response) => {
    request.once('data', () => {
      interruptions += 1;
      if (interruptions === 1) request.destroy();
    });
    request.on('end', () => response.end());
  }).listen(0, '127.0.0.1');
  servers.push(breaking);
  await once(breaking, 'listening');
  const retries: Delivery[] = [];
  const interrupted = createUpload({
    url: `http://127.0.0.1:${(breaking.address() as AddressInfo).port}`,
    secret: null,
    clock,
    redact: 'on',
    onRetry: (delivery) => retries.push(delivery),
  });
  expect(await interrupted.send({ alertId: 'a', file: process.execPath, redacted: true })).toEqual({
    outcome: 'delivered',
  });
  expect(retries.length).toBeGreaterThanOrEqual(1);
});

test('reports an unknown TLS certificate and repeats', async () => {
  const { pem } = makeCertificate();
  const server = createSecureServer(pem, (_, response) => response.end()).listen(0, '127.0.0.1');
  servers.push(server as unknown as Server);
  await once(server, 'listening');
  const retries: Delivery[] = [];
  const webhook = createWebhook({
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    secret: null,
    clock,
    onRetry: (delivery) => retries.push(delivery),
  });
  const outcome = webhook.send(alertOf());
  await eventually(() => retries.length > 0, 'a retry');
  expect(retries[0]).toMatchObject({ reason: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
  webhook.stop();
  expect(await outcome).toMatchObject({ outcome: 'dropped' });
});
