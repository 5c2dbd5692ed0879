import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { sourceFiles } from '../../../src/analyse/locate/source-files.ts';
import { mapToSource } from '../../../src/investigate/map-to-source.ts';
import type { Culprit } from '../../../src/types/index.ts';

const map = (culprit: Culprit, workingDirectory: string): Culprit =>
  mapToSource(culprit, workingDirectory, (place) => sourceFiles().original(place));

let dir = '';
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'wsguard-source-'))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const culpritAt = (file: string, line: number) => ({
  text: `listener of 'tick': t at ${file}:${line}`,
  name: 'tick',
  file,
  line,
  function: 't',
  package: null,
  confidence: 0.95,
});

test('maps a place in a minified bundle to the line of its source, by the column', () => {
  const source = join(dir, 'server.js');
  const bundle = join(dir, 'bundle.cjs');
  writeFileSync(source, `const bus = process;\n\nbus.on('tick', (note) => console.log(note, 'MARK'));\n`);
  buildSync({ entryPoints: [source], outfile: bundle, minify: true, sourcemap: true, logLevel: 'silent' });
  const text = buildSync({ entryPoints: [source], minify: true, write: false }).outputFiles[0]?.text ?? '';
  const column = text.indexOf('=>') - 1;
  expect(column).toBeGreaterThan(0);
  const culprit = map({ ...culpritAt(bundle, 1), column }, dir);
  expect(culprit).toMatchObject({ file: source, line: 3, text: "listener of 'tick': t at server.js:3" });
  expect(culprit).not.toHaveProperty('column');
});

test('keeps the place without a source map, and when the file does not exist', () => {
  const file = join(dir, 'plain.js');
  writeFileSync(file, 'process.on("tick", () => 0);\n');
  expect(map({ ...culpritAt(file, 1), column: 20 }, dir)).toMatchObject({ file, line: 1 });
  const gone = join(dir, 'gone.js');
  expect(map({ ...culpritAt(gone, 7), column: 20 }, dir)).toMatchObject({ file: gone, line: 7 });
});

test('shortens only paths below the working directory', () => {
  const { text } = map(culpritAt('/elsewhere/server.js', 3), '/app');
  expect(text).toContain('/elsewhere/server.js:3');
  expect(map(culpritAt('/app/server.js', 3), '/').text).toContain('/app/server.js:3');
});

test('code of a package in a bundle belongs to the package', () => {
  const file = join(dir, 'bundle.cjs');
  writeFileSync(file, 'x');
  const source = join(dir, 'node_modules', '@scope', 'bus', 'index.ts');
  const culprit = mapToSource({ ...culpritAt(file, 1), column: 1 }, dir, () => ({ file: source, line: 9 }));
  expect(culprit).toMatchObject({ file: source, line: 9, package: '@scope/bus' });
});
