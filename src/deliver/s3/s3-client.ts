/** Signed requests to one S3 bucket. aws4fetch computes the signature; the request is sent like all others. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { Clock } from '../../types/index.ts';
import {
  errorReason,
  sendRequest,
  type FileRange,
  type HttpReply,
  type HttpRequest,
} from '../http-request.ts';
import type { CredentialSource } from './credentials.ts';

export interface S3Target {
  readonly bucket: string;
  readonly region: string;
  /** Null: the endpoint of AWS in the region. */
  readonly endpoint: string | null;
  readonly pathStyle: 'auto' | 'on' | 'off';
  readonly credentials: CredentialSource;
  readonly clock: Clock;
}

export interface S3Request {
  readonly method: HttpRequest['method'];
  /** Object key, not encoded. */
  readonly key: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Required<FileRange>;
  readonly timeoutMs?: number;
}

export type S3Reply = HttpReply | { readonly outcome: 'no-credentials'; readonly reason: string };

interface Signer {
  sign(): Promise<{ readonly url: URL; readonly headers: Headers }>;
}
interface Aws4Fetch {
  readonly AwsV4Signer: new (options: {
    readonly method: string;
    readonly url: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string | undefined;
    readonly service: 's3';
    readonly region: string;
    readonly datetime: string;
  }) => Signer;
}

const UNUSABLE = 'the credentials have characters that a header cannot hold';
/** Longest pause without progress. */
const TIMEOUT_MS = 10_000;
const MAX_REPLY_BYTES = 64 * 1024;

export async function requestS3(target: S3Target, request: S3Request): Promise<S3Reply> {
  const { clock, region } = target;
  const { method, key, query = {}, headers = {}, body = '', timeoutMs = TIMEOUT_MS } = request;
  const credentials = await target.credentials();
  if ('reason' in credentials) return { outcome: 'no-credentials', reason: credentials.reason };
  const content = typeof body === 'string' ? Buffer.from(body) : body;
  try {
    const url = objectUrl(target, key);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const sha256 = await sha256Of(content);
    const { AwsV4Signer } = require('aws4fetch') as Aws4Fetch;
    const signing = {
      method,
      url: url.href,
      headers: { ...headers, 'X-Amz-Content-Sha256': sha256 },
      ...credentials,
      service: 's3' as const,
      region,
      datetime: new Date(clock.wallMs()).toISOString().replace(/[:-]|\.\d{3}/g, ''),
    };
    const signed = await sign(() => new AwsV4Signer(signing));
    if (signed === null) return { outcome: 'no-credentials', reason: UNUSABLE };
    const bytes = Buffer.isBuffer(content) ? content.length : content.end - content.start + 1;
    return await sendRequest(
      {
        method,
        url: signed.url,
        headers: { ...Object.fromEntries(signed.headers), 'Content-Length': bytes },
        body: content,
        timeoutMs,
        maxReplyBytes: MAX_REPLY_BYTES,
      },
      clock,
    );
  } catch (error) {
    return { outcome: 'failed', reason: errorReason(error) };
  }
}

/** Null when a credential does not fit into a header. The error would quote it. */
async function sign(createSigner: () => Signer): Promise<Awaited<ReturnType<Signer['sign']>> | null> {
  try {
    return await createSigner().sign();
  } catch {
    return null;
  }
}

/** A bucket with dots does not fit the certificate of a host below the endpoint. */
function objectUrl({ bucket, region, endpoint, pathStyle }: S3Target, key: string): URL {
  const url = new URL(endpoint ?? `https://s3.${region}.amazonaws.com`);
  const isPathStyle = pathStyle === 'auto' ? endpoint !== null || bucket.includes('.') : pathStyle === 'on';
  const host = `${bucket}.${url.hostname}`;
  if (!isPathStyle) url.hostname = host;
  // A URL ignores a host that is not valid, and the request would go to another bucket.
  if (!isPathStyle && url.hostname !== host.toLowerCase())
    throw new Error(`${host} is not a host name; set WSGUARD_S3_PATH_STYLE=on`);
  const path = isPathStyle ? `${bucket}/${key}` : key;
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/${path.split('/').map(encodeURIComponent).join('/')}`;
  return url;
}

async function sha256Of(content: Buffer | Required<FileRange>): Promise<string> {
  const hash = createHash('sha256');
  if (Buffer.isBuffer(content)) return hash.update(content).digest('hex');
  const { file, start, end } = content;
  for await (const chunk of createReadStream(file, { start, end })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
