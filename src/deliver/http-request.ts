/**
 * Sends one HTTP request with a deadline and signs it. Redirects are not followed, connections are not kept open, and
 * no promise rejects.
 */
import { createHmac } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Clock, Stop } from '../types/index.ts';
import type { Attempt } from './outbox.ts';
import type { SinkOptions } from './sink.ts';

/** A receiver that sends more of what nobody reads would cost CPU until the deadline. */
const MAX_DROPPED_BYTES = 1024 ** 2;

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string | number>>;
  readonly body: Buffer | FileRange;
  /** Limit for the whole exchange, or for a pause without progress while a file is sent. */
  readonly timeoutMs: number;
  /** Keeps this much of the reply's body; without it the body is read and dropped. */
  readonly maxReplyBytes?: number;
}

/** The whole file, or the bytes from `start` to `end` (included). */
export interface FileRange {
  readonly file: string;
  readonly start?: number;
  readonly end?: number;
}

export type HttpReply =
  | {
      readonly outcome: 'reply';
      readonly status: number;
      readonly retryAfterMs: number | null;
      readonly headers: IncomingHttpHeaders;
      readonly text: string;
    }
  | { readonly outcome: 'failed'; readonly reason: string };

/** Options that webhook and upload share. */
export interface HttpTarget extends SinkOptions {
  readonly url: string;
  readonly secret: string | null;
}

export function sendRequest(request: HttpRequest, clock: Clock): Promise<HttpReply> {
  return new Promise((resolve) => {
    let exchange: ClientRequest | null = null;
    let cancelDeadline: Stop | null = null;
    const end = (): void => {
      cancelDeadline?.();
      exchange?.destroy();
    };
    const fail = (reason: string): void => {
      resolve({ outcome: 'failed', reason });
      end();
    };
    const restartDeadline = (): void => {
      cancelDeadline?.();
      cancelDeadline = clock.after(request.timeoutMs, () => fail(`no reply in ${request.timeoutMs} ms`));
    };
    try {
      exchange = open(request, (response) => {
        const { maxReplyBytes = 0 } = request;
        if (maxReplyBytes === 0) resolve(replyOf(response, ''));
        // Read the response to its end, so that the receiver sees no reset. The deadline still applies.
        const chunks: Buffer[] = [];
        let bytes = 0;
        const finish = (): void => {
          resolve(replyOf(response, Buffer.concat(chunks).toString('utf8')));
          end();
        };
        response.on('data', (chunk: Buffer) => {
          if (bytes < maxReplyBytes) chunks.push(chunk.subarray(0, maxReplyBytes - bytes));
          bytes += chunk.length;
          if (bytes > maxReplyBytes + MAX_DROPPED_BYTES) finish();
        });
        response.on('error', (error) => fail(errorReason(error)));
        response.on('end', finish);
      });
      exchange.on('error', (error) => fail(errorReason(error)));
      restartDeadline();
      sendBody(request, exchange, {
        onProgress: restartDeadline,
        onError: (error) => fail(errorReason(error)),
      });
    } catch (error) {
      fail(errorReason(error));
    }
  });
}

function open(request: HttpRequest, onResponse: (response: IncomingMessage) => void): ClientRequest {
  const { method, url, headers } = request;
  // Most processes never send anything, so http and https are loaded here.
  const module = url.protocol === 'https:' ? require('node:https') : require('node:http');
  const http = module as typeof import('node:http');
  // Without an agent the connection is closed after the exchange; a kept one could delay the exit of the process.
  const exchange = http.request(url, { method, headers, agent: false });
  exchange.on('socket', (socket) => socket.unref());
  exchange.on('response', onResponse);
  return exchange;
}

interface BodyEvents {
  readonly onProgress: () => void;
  readonly onError: (error: Error) => void;
}

function sendBody({ body }: HttpRequest, exchange: ClientRequest, { onProgress, onError }: BodyEvents): void {
  if (Buffer.isBuffer(body)) {
    exchange.end(body);
    return;
  }
  const { start = 0, end = Infinity } = body;
  const file = createReadStream(body.file, { start, end });
  file.on('error', onError);
  file.on('data', onProgress);
  exchange.on('close', () => file.destroy());
  file.pipe(exchange);
}

function replyOf(response: IncomingMessage, text: string): HttpReply {
  const seconds = Number(response.headers['retry-after']);
  const retryAfterMs = Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : null;
  const { statusCode: status = 0, headers } = response;
  return { outcome: 'reply', status, retryAfterMs, headers, text };
}

interface FailureCodes {
  /** The attempt is repeated. */
  readonly failed: string;
  /** The receiver refused the item for good. */
  readonly rejected: string;
}

/** Network errors and the statuses 408, 429 and 5xx can pass with time, so these attempts are repeated. */
export function attemptFrom(codes: FailureCodes, reply: HttpReply): Attempt {
  if (reply.outcome === 'failed') return { outcome: 'retry', code: codes.failed, reason: reply.reason };
  const { status, retryAfterMs } = reply;
  if (status >= 200 && status < 300) return { outcome: 'delivered' };
  const reason = `HTTP status ${status}`;
  if (status === 408 || status === 429 || status >= 500) {
    return { outcome: 'retry', code: codes.failed, reason, retryAfterMs };
  }
  return { outcome: 'dropped', code: codes.rejected, reason };
}

/** When every address of a host refuses, Node throws an AggregateError with a code and without a message. */
export function errorReason(error: unknown): string {
  const { code, message, name } = error as NodeJS.ErrnoException;
  return code ?? (message || name || 'unknown');
}

/**
 * `{ 'X-Wsguard-Signature': 't=<unix seconds>,v1=<hex HMAC-SHA256 of "t.content">' }`, or no header without a secret.
 * Each attempt has a new `t`, by which a receiver tells a repeated attempt from a replayed request.
 */
export function signatureHeader(
  { secret, clock }: Pick<HttpTarget, 'secret' | 'clock'>,
  content: string,
): Record<string, string> {
  if (secret === null) return {};
  const t = Math.floor(clock.wallMs() / 1000);
  const hmac = createHmac('sha256', secret).update(`${t}.${content}`).digest('hex');
  return { 'X-Wsguard-Signature': `t=${t},v1=${hmac}` };
}
