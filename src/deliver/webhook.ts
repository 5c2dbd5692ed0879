/** Alerts to WSGUARD_WEBHOOK_URL: one POST for each transition, signed, safe to repeat. */
import type { Alert, Clock, Delivery } from '../types/index.ts';
import { request, signature, type Reply } from './http-request.ts';
import { Outbox, type Attempt } from './outbox.ts';

export interface TargetOptions {
  readonly url: string;
  readonly secret: string | null;
  readonly clock: Clock;
  readonly random?: () => number;
  readonly onRetry?: (delivery: Delivery) => void;
}

const TIMEOUT_MS = 10_000;
const MAX_WAITING = 256;
const JSON_TYPE = 'application/json';

interface Letter {
  readonly body: string;
  readonly key: string;
}

export interface Webhook {
  send(alert: Alert): Promise<Delivery>;
  readonly waiting: number;
  /** Resolves when nothing waits any more, or after that time. */
  idle(limitMs: number): Promise<void>;
  stop(): void;
}

export function createWebhook(options: TargetOptions): Webhook {
  const { clock, secret } = options;
  const url = new URL(options.url);
  const outbox = new Outbox<Letter>({
    ...options,
    maxItems: MAX_WAITING,
    attempt: async ({ body, key }) =>
      attemptOf(
        CODES,
        await request(
          {
            method: 'POST',
            url,
            headers: {
              'Content-Type': JSON_TYPE,
              'Content-Length': Buffer.byteLength(body),
              'Idempotency-Key': key,
              // Made for each try: its time is what tells a repeat from a replay.
              ...(secret === null ? {} : { 'X-Wsguard-Signature': signature(secret, body, clock.wallMs()) }),
            },
            body: Buffer.from(body),
            timeoutMs: TIMEOUT_MS,
          },
          clock,
        ),
      ),
  });
  return {
    send: (alert) =>
      outbox.deliver({ body: JSON.stringify(alert), key: `${alert.id}/${alert.event}/${alert.n}` }),
    get waiting() {
      return outbox.size;
    },
    idle: (limitMs) => outbox.idle(limitMs),
    stop: () => outbox.stop(),
  };
}

interface Codes {
  readonly failed: string;
  readonly rejected: string;
}
const CODES: Codes = { failed: 'WSGUARD_WEBHOOK_FAILED', rejected: 'WSGUARD_WEBHOOK_REJECTED' };

/** What may pass with time is tried again: 408, 429, 5xx and the network. */
export function attemptOf(codes: Codes, reply: Reply): Attempt {
  if (reply.outcome === 'failed') return { outcome: 'retry', code: codes.failed, reason: reply.reason };
  const { status, retryAfterMs } = reply;
  if (status >= 200 && status < 300) return { outcome: 'delivered' };
  const reason = `answered ${status}`;
  if (status === 408 || status === 429 || status >= 500) {
    return { outcome: 'retry', code: codes.failed, reason, retryAfterMs };
  }
  return { outcome: 'dropped', code: codes.rejected, reason };
}
