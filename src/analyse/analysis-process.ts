/**
 * Entry of the analysis process: `node analysis-process.js '{"files":[…]}'`, or `-` with the same JSON on stdin. Writes the
 * `Analysis` as JSON to stdout and progress as JSON lines to stderr.
 */
import { analyseFiles } from './index.ts';
import { readStdin, runMain, writeStdout } from './process-main.ts';

runMain(async () => {
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
  await writeStdout(JSON.stringify(analysis));
});

async function readRequest(): Promise<string> {
  const [, , argument = '-'] = process.argv;
  return argument === '-' ? readStdin() : argument;
}
