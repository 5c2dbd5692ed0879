import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { mapToSource } from '../../../src/watcher/map-to-source.ts';

let dir = '';
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'wsguard-written-'))));
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

test('a place in a minified bundle is led back to the line that was written, by its column', () => {
  const source = join(dir, 'server.js');
  const bundle = join(dir, 'bundle.cjs');
  writeFileSync(source, `const bus = process;\n\nbus.on('tick', (note) => console.log(note, 'MARK'));\n`);
  buildSync({ entryPoints: [source], outfile: bundle, minify: true, sourcemap: true, logLevel: 'silent' });
  const text = buildSync({ entryPoints: [source], minify: true, write: false }).outputFiles[0]?.text ?? '';
  const column = text.indexOf('=>') - 1;
  expect(column).toBeGreaterThan(0);
  const culprit = mapToSource({ ...culpritAt(bundle, 1), column }, dir);
  expect(culprit).toMatchObject({ file: source, line: 3, text: "listener of 'tick': t at server.js:3" });
  expect(culprit).not.toHaveProperty('column');
});

test('without a map, or a file that is here, the place stays', () => {
  const file = join(dir, 'plain.js');
  writeFileSync(file, 'process.on("tick", () => 0);\n');
  expect(mapToSource({ ...culpritAt(file, 1), column: 20 }, dir)).toMatchObject({ file, line: 1 });
  const gone = join(dir, 'gone.js');
  expect(mapToSource({ ...culpritAt(gone, 7), column: 20 }, dir)).toMatchObject({ file: gone, line: 7 });
});

test('only what lies below the working directory is shortened', () => {
  const { text } = mapToSource(culpritAt('/elsewhere/server.js', 3), '/app');
  expect(text).toContain('/elsewhere/server.js:3');
  expect(mapToSource(culpritAt('/app/server.js', 3), '/').text).toContain('/app/server.js:3');
});
