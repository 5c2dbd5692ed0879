// `npm run docs` writes the generated pages and blocks. `npm run docs -- --check` fails when one of them is stale.
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const isCheck = process.argv.includes('--check');
const require = createRequire(import.meta.url);
const tsx = require('tsx/cjs/api');
const { PAGES, ROOT, readPage } = tsx.require('./pages.ts', fileURLToPath(import.meta.url));

let staleCount = 0;
for (const [page, makeText] of Object.entries(PAGES)) {
  const text = makeText();
  if (readPage(page) === text) continue;
  staleCount += 1;
  if (!isCheck) writeFileSync(join(ROOT, page), text);
  console.log(`${isCheck ? 'stale' : 'written'}: ${page}`);
}
if (isCheck && staleCount > 0) {
  console.log('Run `npm run docs`.');
  process.exitCode = 1;
}
