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

type Environment = Readonly<Record<string, string | undefined>>;

const SDK = '@aws-sdk/client-s3';

/** The place that credentials come from. `none` also has a reason. */
export type CredentialsFound =
  | { readonly from: 'variables'; readonly credentials: S3Credentials }
  | { readonly from: typeof SDK }
  | { readonly from: 'none'; readonly reason: string };

/** Reads no file and sends nothing. */
export function findCredentials(env: Environment): CredentialsFound {
  // Secrets that are mounted as files often end with a line break.
  const [accessKeyId, secretAccessKey, sessionToken] = VARIABLES.map((name) => env[name]?.trim());
  if (accessKeyId && secretAccessKey)
    return {
      from: 'variables',
      credentials: { accessKeyId, secretAccessKey, sessionToken: sessionToken || undefined },
    };
  try {
    require.resolve(SDK);
    return { from: SDK };
  } catch {
    return { from: 'none', reason: `${NOT_SET}, and ${SDK} is not installed` };
  }
}

const VARIABLES = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'] as const;
const NOT_SET = 'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set';

export function createCredentialSource(env: Environment, region: string): CredentialSource {
  const found = findCredentials(env);
  if (found.from === 'variables') return () => Promise.resolve(found.credentials);
  if (found.from === 'none') return () => Promise.resolve({ reason: found.reason });
  let client: InstanceType<AwsSdk['S3Client']> | null = null;
  return async () => {
    try {
      // The chain renews credentials before they expire, so it is asked each time.
      const { S3Client } = require(SDK) as AwsSdk;
      client ??= new S3Client({ region });
      const { accessKeyId, secretAccessKey, sessionToken } = await client.config.credentials();
      return { accessKeyId, secretAccessKey, sessionToken };
    } catch (error) {
      // Messages of parsers quote what they read, which can be a secret.
      const name = error instanceof Error ? error.name : 'unknown';
      return { reason: `${NOT_SET}, and ${SDK} found none (${name})` };
    }
  };
}
