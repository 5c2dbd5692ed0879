/**
 * Entry of the analysis process. `node analysis-process.js '{"files":[…]}'`, or the same JSON on stdin with `-`: the `Analysis`
 * as JSON on stdout; progress as JSON lines on stderr; a failure as `{"error":{code,message,hint}}` on stdout, exit 3.
 */
import { SnapshotError } from '../heapsnapshot/errors.ts';
import { analyseFiles } from './index.ts';

const COULD_NOT = 3;

async function main(): Promise<void> {
  const { files } = JSON.parse(await request()) as { files: string[] };
  let told = '';
  const analysis = await analyseFiles(files, {
    onProgress(progress) {
      const percent = progress.share === null ? null : Math.floor(progress.share * 100);
      const line = JSON.stringify({
        progress: { ...progress, share: percent === null ? null : percent / 100 },
      });
      if (line !== told) process.stderr.write(`${line}\n`);
      told = line;
    },
  });
  await write(JSON.stringify(analysis));
}

async function request(): Promise<string> {
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
  process.exitCode = COULD_NOT;
});
