import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const TOOL = join(__dirname, '..', 'tools', 'language.mjs');
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wsguard-language-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Runs the tool over one file; returns its exit code and each problem as `line text`. */
function check(...lines: string[]): { code: number | null; problems: string[] } {
  writeFileSync(join(folder, 'file.ts'), lines.join('\n'));
  const { status, stdout } = spawnSync(process.execPath, [TOOL, folder], { encoding: 'utf8' });
  const printed = stdout.trimEnd().split('\n');
  expect(printed.pop()).toBe(`1 files, ${printed.length} problems`);
  return { code: status, problems: printed.map((line) => line.replace(/^.*file\.ts:/, '')) };
}

test('a comment that opens with a banned word is a problem, in each form of a comment', () => {
  const { code, problems } = check(
    '/** What a window needs. */',
    '/**',
    ' * Of all samples,',
    ' * the last.',
    ' */',
    '// The last sample.',
    '// Where it ends is in the same comment.',
    'const last = 1; // Nor the first.',
  );
  expect(code).toBe(1);
  expect(problems).toEqual([
    '1 comment opens with "What": write a sentence with subject and verb: What a window needs.',
    '2 comment opens with "Of": write a sentence with subject and verb: Of all samples, the last.',
    '8 comment opens with "Nor": write a sentence with subject and verb: Nor the first.',
  ]);
});

test('a retired word is a problem alone, in camel case, in capitals and over the end of a line', () => {
  const { problems } = check(
    'const camera = createCamera(MAX_CAMERAS);',
    '/** The map is held',
    ' * by the server. */',
    "log('left behind');",
  );
  expect(problems).toEqual([
    '1 "camera" is a retired word: write "heap snapshotter"',
    '1 "camera" is a retired word: write "heap snapshotter"',
    '1 "camera" is a retired word: write "heap snapshotter"',
    '2 "held by" is a retired word: write "retained by, retaining path"',
    '4 "left behind" is a retired word: write "leaked entries per closed connection"',
  ]);
});

test('a public field name is refused in prose, not in code and not between backticks', () => {
  const { problems } = check(
    'connections.unaskable += 1;',
    '/** Counts `unaskable` connections. */',
    '// The floor of the heap.',
    'Math.floor(1.5);',
  );
  expect(problems).toEqual(['3 "floor" is a retired word: write "post-GC heap"']);
});

test('a comment cites pages of the repository only', () => {
  const { problems } = check(
    '/** See DESIGN.md. */',
    '/** The rule is in shared/STYLE.md. */',
    '/** INTERFACES section 4. */',
    '/** SEEDS lists them. */',
    '/** FACTS has the measurement. */',
    '/** See docs/facts.md. */',
  );
  const advice = 'cite a page of docs/, or give the fact itself';
  expect(problems).toEqual([
    `1 comment cites "DESIGN": ${advice}`,
    `2 comment cites "shared/": ${advice}`,
    `3 comment cites "INTERFACES": ${advice}`,
    `4 comment cites "SEEDS": ${advice}`,
    `5 comment cites "FACTS": ${advice}`,
  ]);
});

test('ordinary words that contain a retired word, and the code of banned openings, pass', () => {
  const { code, problems } = check(
    'const embedded = interfaceOf(keyboard, clearSkin);',
    "const title = '// Who';",
    '// Whatever the peer sends is counted.',
    'await hearing;',
  );
  expect(problems).toEqual([]);
  expect(code).toBe(0);
});
