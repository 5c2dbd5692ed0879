/** Uploads snapshot files to WSGUARD_UPLOAD_URL, one streamed PUT for each. Unredacted files need WSGUARD_REDACT=off. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { createUploadSink, type UploadFile, type UploadSinkOptions } from './upload-sink.ts';
import { attemptFrom, errorReason, sendRequest, signatureHeader, type HttpTarget } from './http-request.ts';
import type { Attempt } from './outbox.ts';
import type { Sink } from './sink.ts';

export type UploadOptions = HttpTarget & UploadSinkOptions;

export type Upload = Sink<UploadFile>;

/** Longest pause without progress. A large file may take as long as it needs. */
const IDLE_TIMEOUT_MS = 10_000;
const CODES = { failed: 'WSGUARD_UPLOAD_FAILED', rejected: 'WSGUARD_UPLOAD_REJECTED' };

export const createUpload = (options: UploadOptions): Upload =>
  createUploadSink(options, { name: 'upload', attempt: (file) => putFile(file, options) });

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
