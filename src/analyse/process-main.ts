/** Shared by the entries of the analysis and the census process: the request on stdin, the reply on stdout, failures. */
import { SnapshotError } from '../heapsnapshot/snapshot-error.ts';

const EXIT_FAILED = 3;

/** On failure it writes `{"error":{code,message,hint}}` to stdout, and the process exits with 3. */
export function runMain(main: () => Promise<void>): void {
  main().catch(async (error: unknown) => {
    const { code, hint } =
      error instanceof SnapshotError ? error : { code: 'WSGUARD_ANALYSIS_FAULT', hint: '' };
    const message = error instanceof Error ? error.message : String(error);
    await writeStdout(JSON.stringify({ error: { code, message, hint } }));
    process.exitCode = EXIT_FAILED;
  });
}

export async function readStdin(): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of process.stdin) parts.push(part as Buffer);
  return Buffer.concat(parts).toString('utf8');
}

/** Resolves when the text is written, so that an exit cannot cut it off. */
export const writeStdout = (text: string): Promise<void> =>
  new Promise((resolve) => process.stdout.write(text, () => resolve()));
