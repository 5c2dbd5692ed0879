/** The S3 client before it sends a request and after a reply. test/integration/s3.test.ts sends requests. */
import { createCredentialSource, findCredentials } from '../../../src/deliver/s3/credentials.ts';
import { requestS3, type S3Target } from '../../../src/deliver/s3/s3-client.ts';
import { attemptFromS3 } from '../../../src/deliver/s3/s3-outcome.ts';
import { objectKey } from '../../../src/deliver/s3/s3-upload.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

const VARIABLES = { AWS_ACCESS_KEY_ID: 'key', AWS_SECRET_ACCESS_KEY: 'hunter2' };

describe('credentials', () => {
  test('come from the variables, without the line break of a mounted file', async () => {
    const source = createCredentialSource(
      { ...VARIABLES, AWS_SECRET_ACCESS_KEY: 'hunter2\n', AWS_SESSION_TOKEN: '' },
      'us-east-1',
    );
    expect(await source()).toEqual({
      accessKeyId: 'key',
      secretAccessKey: 'hunter2',
      sessionToken: undefined,
    });
    expect(findCredentials({ ...VARIABLES, AWS_SESSION_TOKEN: 'token' })).toMatchObject({
      from: 'variables',
      credentials: { sessionToken: 'token' },
    });
  });

  test('one of the two variables is not enough, and the reason does not repeat it', async () => {
    const reply = await createCredentialSource({ AWS_SECRET_ACCESS_KEY: 'hunter2' }, 'us-east-1')();
    expect(reply).toEqual({
      reason:
        'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set, and @aws-sdk/client-s3 is not installed',
    });
  });
});

describe('a request that cannot be sent', () => {
  const targetOf = (more: Partial<S3Target>): S3Target => ({
    bucket: 'snapshots',
    region: 'us-east-1',
    endpoint: 'http://127.0.0.1:1',
    pathStyle: 'auto',
    credentials: createCredentialSource(VARIABLES, 'us-east-1'),
    clock: createFakeClock(),
    ...more,
  });

  test.each([
    { AWS_ACCESS_KEY_ID: 'hunter2\nkey' },
    { AWS_SESSION_TOKEN: 'hunter2\ntoken' },
    { AWS_ACCESS_KEY_ID: 'hunter2\u2013key' },
  ])('credentials that a header cannot hold are not repeated (%j)', async (variables) => {
    const credentials = createCredentialSource({ ...VARIABLES, ...variables }, 'us-east-1');
    expect(await requestS3(targetOf({ credentials }), { method: 'PUT', key: 'a' })).toEqual({
      outcome: 'no-credentials',
      reason: 'the credentials have characters that a header cannot hold',
    });
  });

  test('an address has no host name for the bucket', async () => {
    const reply = await requestS3(targetOf({ pathStyle: 'off' }), { method: 'PUT', key: 'a' });
    expect(reply).toEqual({
      outcome: 'failed',
      reason: 'snapshots.127.0.0.1 is not a host name; set WSGUARD_S3_PATH_STYLE=on',
    });
  });
});

test('the key has the prefix without outer slashes', () => {
  expect(objectKey('/wsguard/chat/', 'a1', 'heap.gz')).toBe('wsguard/chat/a1/heap.gz');
  expect(objectKey('', 'a1', 'heap.gz')).toBe('a1/heap.gz');
});

test.each([
  [200, '', { outcome: 'delivered' }],
  [200, 'InternalError', { outcome: 'retry', code: 'WSGUARD_S3_FAILED' }],
  [403, 'AccessDenied', { outcome: 'retry', code: 'WSGUARD_S3_CREDENTIALS' }],
  [400, 'ExpiredToken', { outcome: 'retry', code: 'WSGUARD_S3_CREDENTIALS' }],
  [403, 'RequestTimeTooSkewed', { outcome: 'retry', code: 'WSGUARD_S3_CLOCK' }],
  [404, 'NoSuchBucket', { outcome: 'retry', code: 'WSGUARD_S3_NO_BUCKET' }],
  [503, 'SlowDown', { outcome: 'retry', code: 'WSGUARD_S3_FAILED', retryAfterMs: 7000 }],
  [400, 'InvalidRequest', { outcome: 'dropped', reason: 'HTTP status 400 InvalidRequest' }],
])('status %d %s', (status, error, expected) => {
  const text = error === '' ? '' : `<Error><Code>${error}</Code><AWSAccessKeyId>key</AWSAccessKeyId></Error>`;
  const reply = { outcome: 'reply', status, retryAfterMs: 7000, headers: {}, text } as const;
  const attempt = attemptFromS3(reply, 0);
  expect(attempt).toMatchObject(expected);
  expect(JSON.stringify(attempt)).not.toContain('AWSAccessKeyId');
});
