/** The pages that are generated, or have generated blocks, as they should be; `npm run docs` writes them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cliPage } from './cli-page.ts';
import { configurationPage } from './configuration-page.ts';
import { metricsPage } from './metrics-page.ts';
import { ALL_KINDS } from '../../src/kinds/index.ts';
import {
  alertExample,
  customaryTable,
  detectionBlocks,
  fillBlocks,
  fillKinds,
  kindTable,
  leakBlocks,
} from './generated-blocks.ts';

export const ROOT = join(__dirname, '..', '..');
export const readPage = (page: string): string => readFileSync(join(ROOT, page), 'utf8');

/** Path below the root of the repository, and the function that makes the text. */
export const PAGES: Readonly<Record<string, () => string>> = {
  'README.md': () => fillBlocks(readPage('README.md'), { kinds: kindTable() }),
  'docs/alerts.md': () => fillBlocks(readPage('docs/alerts.md'), alertExample()),
  'docs/cli.md': cliPage,
  'docs/configuration.md': () => fillBlocks(configurationPage(), { thresholds: customaryTable() }),
  'docs/metrics.md': metricsPage,
  'docs/detection.md': () => fillBlocks(readPage('docs/detection.md'), detectionBlocks()),
  'docs/schema/alert.schema.json': () => fillKinds(readPage('docs/schema/alert.schema.json')),
  'docs/errors.md': () => sortSections(readPage('docs/errors.md')),
  ...Object.fromEntries(
    ALL_KINDS.map((kind) => [
      `docs/leaks/${kind}.md`,
      () => fillBlocks(readPage(`docs/leaks/${kind}.md`), leakBlocks(kind)),
    ]),
  ),
};

/** The sections of docs/errors.md in alphabetical order; their text is written by hand. */
function sortSections(text: string): string {
  const [head = '', ...sections] = text.split(/^(?=### )/m);
  const sorted = sections.map((section) => section.trim()).toSorted();
  return `${head.trimEnd()}\n\n${sorted.join('\n\n')}\n`;
}
