/** Turns replies of S3 into the outcome of an attempt, with a code of docs/errors.md for what an operator can correct. */
import type { Attempt } from '../outbox.ts';
import type { S3Reply } from './s3-client.ts';

const CODES: Readonly<Record<string, string>> = {
  AccessDenied: 'WSGUARD_S3_CREDENTIALS',
  ExpiredToken: 'WSGUARD_S3_CREDENTIALS',
  InvalidAccessKeyId: 'WSGUARD_S3_CREDENTIALS',
  InvalidToken: 'WSGUARD_S3_CREDENTIALS',
  SignatureDoesNotMatch: 'WSGUARD_S3_CREDENTIALS',
  // The answer of versitygw to an unknown key.
  XAdminUserNotFound: 'WSGUARD_S3_CREDENTIALS',
  TokenRefreshRequired: 'WSGUARD_S3_CREDENTIALS',
  RequestTimeTooSkewed: 'WSGUARD_S3_CLOCK',
  NoSuchBucket: 'WSGUARD_S3_NO_BUCKET',
  PermanentRedirect: 'WSGUARD_S3_NO_BUCKET',
  AuthorizationHeaderMalformed: 'WSGUARD_S3_NO_BUCKET',
  IllegalLocationConstraintException: 'WSGUARD_S3_NO_BUCKET',
};

/** The name of the error in the body of a reply; empty when there is none. */
const s3ErrorOf = (text: string): string => /<Code>([\w.]{1,80})<\/Code>/.exec(text)?.[1] ?? '';

/** An operator can correct credentials, clock and bucket while the process runs, so these attempts are repeated. */
export function attemptFromS3(reply: S3Reply, wallMs: number): Attempt {
  if (reply.outcome === 'no-credentials') return retry('WSGUARD_S3_NO_CREDENTIALS', reply.reason);
  if (reply.outcome === 'failed') return retry('WSGUARD_S3_FAILED', reply.reason);
  const { status, text, headers, retryAfterMs } = reply;
  const error = s3ErrorOf(text);
  // CompleteMultipartUpload can report an error with status 200.
  if (status >= 200 && status < 300 && error === '') return { outcome: 'delivered' };
  const code = CODES[error];
  const reason = `HTTP status ${status}${error === '' ? '' : ` ${error}`}`;
  if (code === 'WSGUARD_S3_CLOCK') return retry(code, `${reason}${skewText(headers.date, wallMs)}`);
  if (code !== undefined) return retry(code, reason);
  const canPass = status < 300 || status === 408 || status === 409 || status === 429 || status >= 500;
  return canPass
    ? { ...retry('WSGUARD_S3_FAILED', reason), retryAfterMs }
    : { outcome: 'dropped', code: 'WSGUARD_S3_REJECTED', reason };
}

function skewText(date: string | undefined, wallMs: number): string {
  const skewMs = wallMs - Date.parse(date ?? '');
  if (Number.isNaN(skewMs)) return '';
  return `, this clock is ${Math.round(Math.abs(skewMs) / 60_000)} min ${skewMs < 0 ? 'behind' : 'ahead'}`;
}

const retry = (code: string, reason: string): Attempt => ({ outcome: 'retry', code, reason });
