/** Every function, constant and class that src exports has an importer in src, test or fixtures. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, posix } from 'node:path';

const ROOT = join(__dirname, '..', '..');

const sourceFiles = (folder: string): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => `${folder}/${name.split('\\').join('/')}`)
    .filter((file) => /\.(?:ts|mjs|cjs|js)$/.test(file) && !file.includes('node_modules'));

const files = new Map(
  ['src', 'test', 'fixtures']
    .flatMap(sourceFiles)
    .map((file) => [file, readFileSync(join(ROOT, file), 'utf8')] as const),
);

function exportedValues(text: string): string[] {
  const declaration = /^export (?:async )?(?:const|let|function\*?|class) (\w+)/gm;
  return [...text.matchAll(declaration)].map(([, name = '']) => name);
}

/** Maps a file of src to the texts of the files that import it, from src or from the build in dist. */
function importersByFile(): Map<string, string[]> {
  const importers = new Map<string, string[]>();
  const add = (file: string, text: string): void =>
    void importers.set(file, [...(importers.get(file) ?? []), text]);
  for (const [importer, text] of files) {
    for (const [, path = ''] of text.matchAll(/(?:from|require\(|import\()\s*'(\.[^']+)'/g))
      add(posix.normalize(posix.join(dirname(importer), path)), text);
    if (importer.startsWith('src/') || !text.includes('dist')) continue;
    for (const [, name = ''] of text.matchAll(/([\w-]+)\.js'/g)) add(`dist/${name}`, text);
  }
  return importers;
}

test('every exported value has an importer', () => {
  const importers = importersByFile();
  const unused = [...files].flatMap(([file, text]) => {
    if (!file.startsWith('src/') || file === 'src/index.ts' || file === 'src/remedy/index.ts') return [];
    const texts = [file, `dist/${basename(file, '.ts')}`].flatMap((key) => importers.get(key) ?? []);
    return exportedValues(text)
      .filter((name) => !texts.some((importer) => new RegExp(`\\b${name}\\b`).test(importer)))
      .map((name) => `${file} ${name}`);
  });
  expect(unused).toEqual([]);
});
