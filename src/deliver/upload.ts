/** Snapshot files to WSGUARD_UPLOAD_URL: one PUT each, streamed. What is not redacted leaves only when told so. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Delivery } from '../types/index.ts';
import { reasonOf, request, signature } from './http-request.ts';
import { Outbox, type Attempt } from './outbox.ts';
import { attemptOf, type TargetOptions } from './webhook.ts';

export interface UploadOptions extends TargetOptions {
  /** WSGUARD_REDACT. */
  readonly redact: 'on' | 'off';
}

export interface UploadFile {
  readonly alertId: string;
  readonly file: string;
  readonly redacted: boolean;
}

export interface Upload {
  send(file: UploadFile): Promise<Delivery>;
  readonly waiting: number;
  /** Resolves when nothing waits any more, or after that time. */
  idle(limitMs: number): Promise<void>;
  stop(): void;
}

/** Without a byte moving; a large file may take as long as it takes. */
const IDLE_TIMEOUT_MS = 10_000;
const MAX_WAITING = 64;
const CODES = { failed: 'WSGUARD_UPLOAD_FAILED', rejected: 'WSGUARD_UPLOAD_REJECTED' };

export function createUpload(options: UploadOptions): Upload {
  const outbox = new Outbox<UploadFile>({
    ...options,
    maxItems: MAX_WAITING,
    attempt: (file) => put(file, options),
  });
  return {
    async send(file) {
      if (!file.redacted && options.redact === 'on') {
        const reason = `${file.file} is not redacted; WSGUARD_REDACT=off allows its upload`;
        return { outcome: 'dropped', code: 'WSGUARD_UPLOAD_NOT_REDACTED', reason };
      }
      return outbox.deliver(file);
    },
    get waiting() {
      return outbox.size;
    },
    idle: (limitMs) => outbox.idle(limitMs),
    stop: () => outbox.stop(),
  };
}

async function put({ alertId, file }: UploadFile, { url, secret, clock }: UploadOptions): Promise<Attempt> {
  let sha256: string;
  let bytes: number;
  try {
    bytes = (await stat(file)).size;
    sha256 = await hashOf(file);
  } catch (error) {
    return { outcome: 'dropped', code: 'WSGUARD_UPLOAD_FILE', reason: `${file}: ${reasonOf(error)}` };
  }
  const reply = await request(
    {
      method: 'PUT',
      url: targetOf(url, alertId, file),
      headers: {
        'Content-Type': 'application/octet-stream',
        'Content-Length': bytes,
        'X-Wsguard-Alert': alertId,
        'X-Wsguard-Sha256': sha256,
        ...(secret === null ? {} : { 'X-Wsguard-Signature': signature(secret, sha256, clock.wallMs()) }),
      },
      body: { file },
      timeoutMs: IDLE_TIMEOUT_MS,
    },
    clock,
  );
  return attemptOf(CODES, reply);
}

/** `<url>/<alert id>/<file>`, in front of a query that the URL may carry (a token of the store). */
function targetOf(url: string, alertId: string, file: string): URL {
  const target = new URL(url);
  const folder = target.pathname.replace(/\/+$/, '');
  target.pathname = `${folder}/${encodeURIComponent(alertId)}/${encodeURIComponent(basename(file))}`;
  return target;
}

async function hashOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
