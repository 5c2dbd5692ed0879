/** One request, one answer, a deadline. Nothing is followed, nothing is kept open, nothing rejects. */
import { createHmac } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Clock, Stop } from '../types/index.ts';

export interface Outgoing {
  readonly method: 'POST' | 'PUT';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string | number>>;
  readonly body: Buffer | { readonly file: string };
  /** For the whole exchange, or without any progress where a file is sent. */
  readonly timeoutMs: number;
}

export type Reply =
  | { readonly outcome: 'reply'; readonly status: number; readonly retryAfterMs: number | null }
  | { readonly outcome: 'failed'; readonly reason: string };

export function request(outgoing: Outgoing, clock: Clock): Promise<Reply> {
  return new Promise((resolve) => {
    let exchange: ClientRequest | null = null;
    let stopTimer: Stop | null = null;
    const end = (): void => {
      stopTimer?.();
      exchange?.destroy();
    };
    const fail = (reason: string): void => {
      resolve({ outcome: 'failed', reason });
      end();
    };
    const rearm = (): void => {
      stopTimer?.();
      stopTimer = clock.after(outgoing.timeoutMs, () => fail(`no answer in ${outgoing.timeoutMs} ms`));
    };
    try {
      exchange = open(outgoing, (response) => {
        resolve(replyOf(response));
        // Read to its end, so that the receiver sees no reset; the deadline still holds.
        response.on('error', end).on('end', end).resume();
      });
      exchange.on('error', (error) => fail(reasonOf(error)));
      rearm();
      write(outgoing, exchange, { onProgress: rearm, onError: (error) => fail(reasonOf(error)) });
    } catch (error) {
      fail(reasonOf(error));
    }
  });
}

function open(outgoing: Outgoing, onResponse: (response: IncomingMessage) => void): ClientRequest {
  const { method, url, headers } = outgoing;
  // Loaded by scheme, and only when there is something to send.
  const http = url.protocol === 'https:' ? require('node:https') : require('node:http');
  const { request: start } = http as typeof import('node:http');
  // A connection of its own: a kept one would outlive the alert, and the process has to end when it wants to.
  const started = start(url, { method, headers, agent: false });
  started.on('socket', (socket) => socket.unref());
  started.on('response', onResponse);
  return started;
}

interface Progress {
  readonly onProgress: () => void;
  readonly onError: (error: Error) => void;
}

function write({ body }: Outgoing, to: ClientRequest, { onProgress, onError }: Progress): void {
  if (Buffer.isBuffer(body)) {
    to.end(body);
    return;
  }
  const file = createReadStream(body.file);
  file.on('error', onError);
  file.on('data', onProgress);
  to.on('close', () => file.destroy());
  file.pipe(to);
}

function replyOf(response: IncomingMessage): Reply {
  const seconds = Number(response.headers['retry-after']);
  const retryAfterMs = Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : null;
  return { outcome: 'reply', status: response.statusCode ?? 0, retryAfterMs };
}

/** Of several addresses that all refuse, Node makes an AggregateError without a message. */
export function reasonOf(error: unknown): string {
  const { code, message, name } = error as NodeJS.ErrnoException;
  return code ?? (message || name || 'unknown');
}

/** `t=<unix>,v1=<hex HMAC-SHA256 of "t.signed">`; the time in it lets a receiver refuse what is replayed. */
export function signature(secret: string, signed: string, wallMs: number): string {
  const t = Math.floor(wallMs / 1000);
  return `t=${t},v1=${createHmac('sha256', secret).update(`${t}.${signed}`).digest('hex')}`;
}
