/** Sends alerts to WSGUARD_WEBHOOK_URL: one signed POST for each transition, with a key that makes repeats safe. */
import type { Alert, Delivery } from '../types/index.ts';
import { attemptFrom, sendRequest, signatureHeader, type HttpTarget } from './http-request.ts';
import { Outbox } from './outbox.ts';

export interface Webhook {
  /** Resolves with the final outcome. */
  send(alert: Alert): Promise<Delivery>;
  /** Resolves when nothing is pending, or after `limitMs`. */
  idle(limitMs: number): Promise<void>;
  stop(): void;
}

interface Message {
  readonly body: string;
  readonly idempotencyKey: string;
}

/** docs/errors.md promises both numbers. */
const TIMEOUT_MS = 10_000;
const MAX_PENDING = 256;
const CODES = { failed: 'WSGUARD_WEBHOOK_FAILED', rejected: 'WSGUARD_WEBHOOK_REJECTED' };

export function createWebhook(target: HttpTarget): Webhook {
  const url = new URL(target.url);
  const outbox = new Outbox<Message>({
    ...target,
    maxItems: MAX_PENDING,
    attempt: async ({ body, idempotencyKey }) => {
      const headers = {
        'Content-Type': 'application/json',
        'Content-Length': Buffer.byteLength(body),
        'Idempotency-Key': idempotencyKey,
        ...signatureHeader(target, body),
      };
      const request = {
        method: 'POST',
        url,
        headers,
        body: Buffer.from(body),
        timeoutMs: TIMEOUT_MS,
      } as const;
      return attemptFrom(CODES, await sendRequest(request, target.clock));
    },
  });
  return {
    send: (alert) =>
      outbox.deliver({
        body: JSON.stringify(alert),
        idempotencyKey: `${alert.id}/${alert.event}/${alert.n}`,
      }),
    idle: (limitMs) => outbox.idle(limitMs),
    stop: () => outbox.stop(),
  };
}
