// The process under test: reads, analyses and redacts the files of its requests, and replies with each result.
import { readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const dist = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'dist');
const { analyseFiles } = require(join(dist, 'analyse', 'index.js'));
const { REDACTION_RULES } = require(join(dist, 'capture', 'redaction-rules.js'));
const { redactFile } = require(join(dist, 'capture', 'redact-file.js'));
const { Rewriter } = require(join(dist, 'heapsnapshot', 'rewriter.js'));
const { analysisHtml } = require(join(dist, 'report', 'html', 'analysis-html.js'));
const { analysisText } = require(join(dist, 'report', 'analysis-text.js'));

const pieces = (bytes, length) => {
  const out = [];
  const rewriter = new Rewriter(REDACTION_RULES, (piece) => out.push(new Uint8Array(piece)));
  for (let at = 0; at < bytes.length; at += length) rewriter.write(bytes.subarray(at, at + length));
  rewriter.end();
  return Buffer.concat(out);
};

/** The parsed JSON, or null when the bytes are not JSON. */
const parsed = (bytes) => {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return null;
  }
};

const TASKS = {
  async analyse({ file }) {
    const analysis = await analyseFiles([file]);
    analysisHtml(analysis);
    analysisText(analysis);
  },
  async compare({ file, good }) {
    analysisHtml(await analyseFiles([good, file]));
    analysisText(await analyseFiles([file, good]));
  },
  async redact({ file }) {
    const to = `${file}.redacted`;
    await redactFile({ from: file, to });
    rmSync(to);
  },
  /** The result does not depend on the chunks. JSON stays JSON, with the same numbers and the same count of strings. */
  async pieces({ file, chunkBytes }) {
    const bytes = readFileSync(file);
    // A string that spans chunks is copied with each one, so small chunks of a long string take quadratic time.
    if (bytes.length ** 2 / chunkBytes > 1e9 || (bytes[0] === 0x1f && bytes[1] === 0x8b)) return;
    const whole = pieces(bytes, bytes.length || 1);
    if (!pieces(bytes, chunkBytes).equals(whole)) throw new Error('the result depends on where chunks end');
    const before = parsed(bytes);
    if (before === null) return;
    const after = parsed(whole);
    if (after === null) throw new Error('redaction broke the JSON');
    if (after.strings.length !== before.strings.length) throw new Error('strings were lost');
    if (JSON.stringify([after.nodes, after.edges]) !== JSON.stringify([before.nodes, before.edges])) {
      throw new Error('numbers were changed');
    }
  },
};

/** VmHWM starts at exec. The maximum of getrusage is inherited from the parent through fork. */
const peakRss = () =>
  Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0) * 1024;

async function serve({ id, task, order }) {
  let outcome = 'done';
  try {
    await TASKS[task](order);
  } catch (error) {
    outcome = error?.code ?? String(error?.stack ?? error);
  }
  process.send({ id, outcome, maxRssBytes: peakRss() });
}

process.on('message', (message) => void serve(message));
