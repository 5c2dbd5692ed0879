// `npm run docs`: writes the generated pages. `--check` only compares and fails where one is old.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const build = spawnSync(process.execPath, [join(root, 'test', 'tools', 'build.mjs')], { stdio: 'inherit' });
if (build.status !== 0) process.exit(build.status ?? 1);

const require = createRequire(import.meta.url);
const dist = (name) => require(join(root, 'dist', name));
const errorsFile = join(root, 'docs', 'errors.md');

const pages = {
  'configuration.md': dist('config/configuration-page.js').configurationPage(),
  'metrics.md': dist('export/metrics-page.js').metricsPage(),
  'errors.md': sortedErrors(readFileSync(errorsFile, 'utf8')),
};

/** The headings of docs/errors.md in order; their text is written by hand. */
function sortedErrors(text) {
  const [head, ...sections] = text.split(/^(?=### )/m);
  return `${head.trimEnd()}\n\n${sections
    .map((section) => section.trim())
    .sort()
    .join('\n\n')}\n`;
}

let old = 0;
for (const [name, text] of Object.entries(pages)) {
  const file = join(root, 'docs', name);
  if (existsSync(file) && readFileSync(file, 'utf8') === text) continue;
  old += 1;
  if (!process.argv.includes('--check')) writeFileSync(file, text);
  console.log(`${process.argv.includes('--check') ? 'old' : 'written'}: docs/${name}`);
}
process.exitCode = process.argv.includes('--check') && old > 0 ? 1 : 0;
