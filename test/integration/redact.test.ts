import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describeWith, startComponent } from '../support/components.ts';

const ROOT = join(__dirname, '..', '..');
const CLI = join(ROOT, 'dist', 'cli', 'main.js');
interface Snapshot {
  readonly strings: readonly string[];
}
interface Vault {
  readonly file: string;
  readonly planted: readonly string[];
  readonly names: readonly string[];
}

let dir: string;
beforeAll(() => {
  execFileSync(process.execPath, [join(__dirname, '..', 'tools', 'build.mjs')]);
  dir = mkdtempSync(join(tmpdir(), 'wsguard-redact-'));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

function fill(node: string, name: string): Vault {
  const file = join(dir, `${name}.heapsnapshot`);
  execFileSync(node, [join(ROOT, 'test', 'support', 'vault.cjs'), file]);
  return { file, ...(JSON.parse(readFileSync(`${file}.planted.json`, 'utf8')) as Omit<Vault, 'file'>) };
}

const wsguard = (args: readonly string[], input?: Buffer) =>
  spawnSync(process.execPath, [CLI, ...args], { cwd: dir, input, maxBuffer: 1 << 28 });

/** The planted secrets that are still in the strings of a snapshot. */
function secretsIn(text: string, planted: readonly string[]): string[] {
  const { strings } = JSON.parse(text) as Snapshot;
  const all = strings.join('\n');
  return planted.filter((secret) => all.includes(secret));
}

/** The names of all nodes except strings and patterns. A class table and a retaining path show these. */
function classNames(text: string): Set<string> {
  const { snapshot, nodes, strings } = JSON.parse(text) as {
    snapshot: { meta: { node_fields: string[]; node_types: [string[]] } };
    nodes: number[];
    strings: string[];
  };
  const { node_fields: fields, node_types: types } = snapshot.meta;
  const names = new Set<string>();
  for (let index = 0; index < nodes.length; index += fields.length) {
    if (!/string|regexp/.test(types[0][nodes[index]!]!)) names.add(strings[nodes[index + 1]!]!);
  }
  return names;
}

function checkVault({ file, planted, names }: Vault): void {
  const raw = readFileSync(file, 'utf8');
  // V8 leaves out some strings. Most of the secrets must be in the raw file, else the test tests nothing.
  expect(secretsIn(raw, planted).length).toBeGreaterThan(0.9 * new Set(planted).size);
  const redacted = `${file}.redacted`;
  const { status, stdout } = wsguard(['redact', file, redacted, '--json']);
  expect(status).toBe(0);
  expect(JSON.parse(stdout.toString())).toMatchObject({
    schema: 'wsguard.redact/1',
    masked: expect.any(Number),
  });
  const text = readFileSync(redacted, 'utf8');
  expect(secretsIn(text, planted)).toEqual([]);
  const [before, after] = [raw, text].map((each) => JSON.parse(each) as Record<string, unknown>);
  const rest = (snapshot: typeof before): string => JSON.stringify({ ...snapshot, strings: 0 });
  expect(rest(after) === rest(before)).toBe(true);
  const strings = new Set((after as unknown as Snapshot).strings);
  expect(names.filter((name) => !strings.has(name))).toEqual([]);
  const readable = classNames(text);
  const lost = [...classNames(raw)].filter((name) => !readable.has(name));
  expect(lost.filter((name) => !planted.some((secret) => name.includes(secret)))).toEqual([]);
}

test('this Node: no planted secret stays, names stay, and the graph is the same', () => {
  checkVault(fill(process.execPath, 'here'));
});

for (const major of [22, 24, 26] as const) {
  describeWith([`node${major}`], `Node ${major}`, () => {
    test('no planted secret stays, names stay, and the graph is the same', async () => {
      const { path } = await startComponent(`node${major}`);
      checkVault(fill(path, `node${major}`));
    });
  });
}

describe('the command', () => {
  const small = `{"snapshot":{"meta":{"node_fields":["type","name","id","self_size","edge_count"],"node_types":[["string"],"string","number","number","number"],"edge_fields":["type","name_or_index","to_node"],"edge_types":[["property"],"string_or_number","node"]},"node_count":1,"edge_count":0},"nodes":[0,1,1,1,0],"edges":[],"strings":["","top secret 99"]}`;
  const masked = 'xxxxxxxxxx00';
  const stringOf = (text: string): string => (JSON.parse(text) as Snapshot).strings[1]!;

  test('reads gzip by its content and writes gzip by the name; the copy is private', () => {
    writeFileSync(join(dir, 'packed'), gzipSync(small));
    expect(wsguard(['redact', 'packed', 'out.heapsnapshot.gz']).status).toBe(0);
    const out = join(dir, 'out.heapsnapshot.gz');
    expect(stringOf(gunzipSync(readFileSync(out)).toString())).toBe('xxxxxxxxxxx00');
    expect(statSync(out).mode & 0o777).toBe(0o600);
  });

  test('reads and writes pipes; the counts go to stderr', () => {
    const { status, stdout, stderr } = wsguard(['redact', '-', '-'], Buffer.from(small));
    expect(status).toBe(0);
    expect(stringOf(stdout.toString()).endsWith(masked)).toBe(true);
    expect(stderr.toString()).toContain('1 of 2 strings masked');
  });

  test('an existing output is replaced only with --force', () => {
    writeFileSync(join(dir, 'in'), small);
    writeFileSync(join(dir, 'there'), 'mine');
    expect(wsguard(['redact', 'in', 'there']).status).toBe(2);
    expect(readFileSync(join(dir, 'there'), 'utf8')).toBe('mine');
    expect(wsguard(['redact', 'in', 'there', '--force']).status).toBe(0);
    expect(stringOf(readFileSync(join(dir, 'there'), 'utf8')).endsWith(masked)).toBe(true);
  });

  test.each([
    [['redact'], 2, 'wsguard redact <input> <output>'],
    [['redact', 'in', 'in', '--force'], 2, 'the same file'],
    [['redact', 'in', 'x', '--what'], 2, '--what'],
    [['redact', 'missing', 'x'], 3, 'WSGUARD_SNAPSHOT_UNREADABLE'],
    [['redact', 'cut', 'x'], 3, 'WSGUARD_SNAPSHOT_TRUNCATED'],
    [['redact', 'in', 'no/such/dir'], 3, 'WSGUARD_CAPTURE_FAILED'],
  ])('%j exits with %i: %s', (args, status, text) => {
    writeFileSync(join(dir, 'in'), small);
    writeFileSync(join(dir, 'cut'), small.slice(0, -30));
    const answer = wsguard(args);
    expect(answer.stderr.toString()).toContain(text);
    expect(answer.status).toBe(status);
    expect(readdirSync(dir).filter((name) => name === 'x' || name.includes('.tmp'))).toEqual([]);
  });
});
