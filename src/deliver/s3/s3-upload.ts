/**
 * Uploads snapshot files to an S3 bucket as `<prefix>/<alert id>/<file>`: one request up to 8 MiB, else a multipart upload.
 * Parts are streamed from the file, so the memory does not depend on its size.
 */
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { errorReason } from '../http-request.ts';
import type { Attempt } from '../outbox.ts';
import type { Sink } from '../sink.ts';
import { createUploadSink, type UploadFile, type UploadSinkOptions } from '../upload-sink.ts';
import { requestS3, type S3Reply, type S3Request, type S3Target } from './s3-client.ts';
import { attemptFromS3 } from './s3-outcome.ts';

export interface S3UploadOptions extends UploadSinkOptions {
  readonly target: S3Target;
  readonly prefix: string;
}

/** S3 allows 5 MiB to 5 GiB for a part and 10,000 parts: 78 GiB. */
export const PART_BYTES = 8 * 1024 ** 2;

export const createS3Upload = (options: S3UploadOptions): Sink<UploadFile> =>
  createUploadSink(options, { name: 's3', attempt: (file, save) => uploadFile(options, file, save) });

/** Joins the parts of a key that are not empty. */
export const objectKey = (...parts: readonly string[]): string =>
  parts
    .map((part) => part.replace(/^\/+|\/+$/g, ''))
    .filter((part) => part !== '')
    .join('/');

type Save = (file: UploadFile) => void;

async function uploadFile(options: S3UploadOptions, item: UploadFile, save: Save): Promise<Attempt> {
  const { target, prefix, clock } = options;
  const key = objectKey(prefix, item.alertId, basename(item.file));
  const { multipartId: leftOver, ...file } = item;
  if (leftOver !== undefined) {
    const aborted = await abort(target, key, leftOver);
    if (aborted.outcome !== 'delivered') return aborted;
    save(file);
  }
  let bytes: number;
  try {
    bytes = (await stat(file.file)).size;
  } catch (error) {
    return { outcome: 'dropped', code: 'WSGUARD_UPLOAD_FILE', reason: `${file.file}: ${errorReason(error)}` };
  }
  if (bytes > PART_BYTES) return uploadParts({ options, key, file, bytes, save });
  const body = bytes === 0 ? '' : { file: file.file, start: 0, end: bytes - 1 };
  return attemptFromS3(await requestS3(target, { method: 'PUT', key, headers: TYPE, body }), clock.wallMs());
}

const TYPE = { 'content-type': 'application/octet-stream' };

interface PartsJob {
  readonly options: S3UploadOptions;
  readonly key: string;
  readonly file: UploadFile;
  readonly bytes: number;
  readonly save: Save;
}

/** The id is saved before the first part, so that after a kill the next process can abort what was begun. */
async function uploadParts({ options, key, file, bytes, save }: PartsJob): Promise<Attempt> {
  const { target, clock } = options;
  const send = (request: Omit<S3Request, 'key'>): Promise<S3Reply> => requestS3(target, { key, ...request });
  const created = await send({ method: 'POST', query: { uploads: '' }, headers: TYPE });
  const begun = attemptFromS3(created, clock.wallMs());
  if (begun.outcome !== 'delivered') return begun;
  const uploadId =
    created.outcome === 'reply' ? /<UploadId>([^<]{1,2000})<\/UploadId>/.exec(created.text)?.[1] : '';
  if (!uploadId) return { outcome: 'retry', code: 'WSGUARD_S3_FAILED', reason: 'the reply has no upload id' };
  save({ ...file, multipartId: uploadId });
  const etags: string[] = [];
  for (let start = 0; start < bytes; start += PART_BYTES) {
    const body = { file: file.file, start, end: Math.min(start + PART_BYTES, bytes) - 1 };
    const query = { partNumber: `${etags.length + 1}`, uploadId };
    const reply = await send({ method: 'PUT', query, body });
    const attempt = attemptFromS3(reply, clock.wallMs());
    if (attempt.outcome !== 'delivered') return attempt;
    etags.push((reply.outcome === 'reply' && reply.headers.etag) || '');
  }
  const parts = etags.map(
    (etag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${etag}</ETag></Part>`,
  );
  const body = `<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`;
  const completed = await send({ method: 'POST', query: { uploadId }, body, timeoutMs: COMPLETE_TIMEOUT_MS });
  return attemptFromS3(completed, clock.wallMs());
}

/** S3 assembles the parts before it replies, which takes minutes for large files. */
const COMPLETE_TIMEOUT_MS = 5 * 60_000;

async function abort(target: S3Target, key: string, uploadId: string): Promise<Attempt> {
  const reply = await requestS3(target, { method: 'DELETE', key, query: { uploadId } });
  // It was completed or aborted already.
  if (reply.outcome === 'reply' && reply.status === 404 && reply.text.includes('NoSuchUpload'))
    return { outcome: 'delivered' };
  return attemptFromS3(reply, target.clock.wallMs());
}
