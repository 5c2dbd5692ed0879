/** Sends alerts to WSGUARD_WEBHOOK_URL: one signed POST for each transition, with a key that makes repeats safe. */
import type { Alert } from '../types/index.ts';
import { attemptFrom, sendRequest, signatureHeader, type HttpTarget } from './http-request.ts';
import { createSink, type Sink } from './sink.ts';

export type Webhook = Sink<Alert>;

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
  const sink = createSink<Message>(target, {
    name: 'webhook',
    maxItems: MAX_PENDING,
    isItem: isMessage,
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
    ...sink,
    send: (alert) =>
      sink.send({
        body: JSON.stringify(alert),
        idempotencyKey: `${alert.id}/${alert.event}/${alert.n}`,
      }),
  };
}

/** The key becomes a header. */
const KEY = /^[\w-]{1,100}\/\w{1,20}\/\d{1,10}$/;

function isMessage(value: unknown): value is Message {
  if (typeof value !== 'object' || value === null) return false;
  const { body, idempotencyKey } = value as Record<keyof Message, unknown>;
  return typeof body === 'string' && typeof idempotencyKey === 'string' && KEY.test(idempotencyKey);
}
