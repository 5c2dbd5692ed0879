/** Uploads snapshot files to WSGUARD_UPLOAD_URL, one streamed PUT for each. Unredacted files need WSGUARD_REDACT=off. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Delivery } from '../types/index.ts';
import { attemptFrom, errorReason, sendRequest, signatureHeader, type HttpTarget } from './http-request.ts';
import { Outbox, type Attempt } from './outbox.ts';

export interface UploadOptions extends HttpTarget {
  /** WSGUARD_REDACT. */
  readonly redact: 'on' | 'off';
}

export interface UploadFile {
  readonly alertId: string;
  readonly file: string;
  readonly redacted: boolean;
}

export interface Upload {
  /** Resolves with the final outcome. */
  send(file: UploadFile): Promise<Delivery>;
  /** Resolves when nothing is pending, or after `limitMs`. */
  idle(limitMs: number): Promise<void>;
  stop(): void;
}

/** Longest pause without progress. A large file may take as long as it needs. */
const IDLE_TIMEOUT_MS = 10_000;
/** docs/errors.md promises this number. */
const MAX_PENDING = 64;
const CODES = { failed: 'WSGUARD_UPLOAD_FAILED', rejected: 'WSGUARD_UPLOAD_REJECTED' };

export function createUpload(options: UploadOptions): Upload {
  const outbox = new Outbox<UploadFile>({
    ...options,
    maxItems: MAX_PENDING,
    attempt: (file) => putFile(file, options),
  });
  return {
    async send(file) {
      if (!file.redacted && options.redact === 'on') {
        const reason = `${file.file} is not redacted; WSGUARD_REDACT=off allows its upload`;
        return { outcome: 'dropped', code: 'WSGUARD_UPLOAD_NOT_REDACTED', reason };
      }
      return outbox.deliver(file);
    },
    idle: (limitMs) => outbox.idle(limitMs),
    stop: () => outbox.stop(),
  };
}

async function putFile({ alertId, file }: UploadFile, target: HttpTarget): Promise<Attempt> {
  let sha256: string;
  let bytes: number;
  try {
    bytes = (await stat(file)).size;
    sha256 = await sha256Of(file);
  } catch (error) {
    return { outcome: 'dropped', code: 'WSGUARD_UPLOAD_FILE', reason: `${file}: ${errorReason(error)}` };
  }
  const headers = {
    'Content-Type': 'application/octet-stream',
    'Content-Length': bytes,
    'X-Wsguard-Alert': alertId,
    'X-Wsguard-Sha256': sha256,
    ...signatureHeader(target, sha256),
  };
  const url = fileUrl(target.url, alertId, file);
  const request = { method: 'PUT', url, headers, body: { file }, timeoutMs: IDLE_TIMEOUT_MS } as const;
  return attemptFrom(CODES, await sendRequest(request, target.clock));
}

/** `<url>/<alert id>/<file>`. A query of the URL, such as an access token, stays at the end. */
function fileUrl(base: string, alertId: string, file: string): URL {
  const url = new URL(base);
  const folder = url.pathname.replace(/\/+$/, '');
  url.pathname = `${folder}/${encodeURIComponent(alertId)}/${encodeURIComponent(basename(file))}`;
  return url;
}

async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
