/**
 * Credentials for S3: the standard AWS variables, else the credential chain of `@aws-sdk/client-s3` where the application has
 * installed it (roles of containers, instances and web identities).
 */
export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

export type CredentialSource = () => Promise<S3Credentials | { readonly reason: string }>;

interface AwsSdk {
  readonly S3Client: new (options: { readonly region: string }) => {
    readonly config: { credentials(): Promise<S3Credentials> };
  };
}

const SDK = '@aws-sdk/client-s3';

export function createCredentialSource(
  env: Readonly<Record<string, string | undefined>>,
  region: string,
): CredentialSource {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = env;
  if (accessKeyId && secretAccessKey) {
    const sessionToken = env['AWS_SESSION_TOKEN'] || undefined;
    return () => Promise.resolve({ accessKeyId, secretAccessKey, sessionToken });
  }
  let client: InstanceType<AwsSdk['S3Client']> | null = null;
  return async () => {
    try {
      // The chain renews credentials before they expire, so it is asked each time.
      client ??= new (require(SDK) as AwsSdk).S3Client({ region });
      const { accessKeyId: id, secretAccessKey: secret, sessionToken } = await client.config.credentials();
      return { accessKeyId: id, secretAccessKey: secret, sessionToken };
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const isMissing = code === 'MODULE_NOT_FOUND';
      const chain = isMissing ? `${SDK} is not installed` : `${SDK}: ${message.split('\n')[0]}`;
      return { reason: `AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set, and ${chain}` };
    }
  };
}
