/**
 * Entry of the analysis process: `node analysis-process.js '{"files":[…]}'`, or `-` with the same JSON on stdin. Writes the
 * `Analysis` as JSON to stdout and progress as JSON lines to stderr. On failure it writes `{"error":{code,message,hint}}`
 * to stdout and exits with 3.
 */
import { SnapshotError } from '../heapsnapshot/snapshot-error.ts';
import { analyseFiles } from './index.ts';

const EXIT_FAILED = 3;

async function main(): Promise<void> {
  const { files } = JSON.parse(await readRequest()) as { files: string[] };
  let lastLine = '';
  const analysis = await analyseFiles(files, {
    onProgress(progress) {
      // In whole percent, so that a large file writes at most a hundred lines.
      const share = progress.share === null ? null : Math.floor(progress.share * 100) / 100;
      const line = JSON.stringify({ progress: { ...progress, share } });
      if (line !== lastLine) process.stderr.write(`${line}\n`);
      lastLine = line;
    },
  });
  await write(JSON.stringify(analysis));
}

async function readRequest(): Promise<string> {
  const [, , argument = '-'] = process.argv;
  if (argument !== '-') return argument;
  const parts: Buffer[] = [];
  for await (const part of process.stdin) parts.push(part as Buffer);
  return Buffer.concat(parts).toString('utf8');
}

const write = (text: string): Promise<void> =>
  new Promise((resolve) => process.stdout.write(text, () => resolve()));

main().catch(async (error: unknown) => {
  const { code, hint } =
    error instanceof SnapshotError ? error : { code: 'WSGUARD_ANALYSIS_FAULT', hint: '' };
  const message = error instanceof Error ? error.message : String(error);
  await write(JSON.stringify({ error: { code, message, hint } }));
  process.exitCode = EXIT_FAILED;
});
