/** The published package: its files, its dependencies, and the lock files that pin what is installed. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join } from 'node:path';

const ROOT = join(__dirname, '..', '..', '..');
const readJson = <T>(path: string): T => JSON.parse(readFileSync(join(ROOT, path), 'utf8')) as T;
const filesBelow = (folder: string, pattern: RegExp): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((name) => pattern.test(name) && !name.includes('node_modules'));

interface Manifest {
  readonly dependencies: Record<string, string>;
  readonly peerDependencies: Record<string, string>;
}
interface Lock {
  readonly packages: Record<string, { integrity?: string; resolved?: string }>;
}
const manifest = readJson<Manifest>('package.json');

/** Names of packages that a file of src loads: `import`, `require` and `import()`, without those for types. */
function packagesOf(path: string): string[] {
  const text = readFileSync(join(ROOT, path), 'utf8').replace(/^import type [^;]+;$/gm, '');
  const names = [...text.matchAll(/(?:from |require\(|import\()'([^'.][^']*)'/g)].map(
    ([, name = '']) => name,
  );
  return names
    .filter((name) => !name.startsWith('node:') && !builtinModules.includes(name))
    .map((name) => name.split('/', name.startsWith('@') ? 2 : 1).join('/'));
}

test('every dependency is loaded by src, and src loads no other package', () => {
  const files = filesBelow('src', /\.ts$/);
  const loaded = new Set(files.flatMap(packagesOf));
  // The exporter of the configured protocol has a computed name.
  const text = files.map((path) => readFileSync(join(ROOT, path), 'utf8')).join('\n');
  for (const [, prefix = ''] of text.matchAll(/`(@opentelemetry\/exporter-[\w-]+)\$\{/g)) {
    for (const name of Object.keys(manifest.dependencies)) if (name.startsWith(prefix)) loaded.add(name);
  }
  const declared = [...Object.keys(manifest.dependencies), ...Object.keys(manifest.peerDependencies)];
  expect([...loaded].filter((name) => !declared.includes(name)).toSorted()).toEqual([]);
  expect(Object.keys(manifest.dependencies).filter((name) => !loaded.has(name))).toEqual([]);
});

/** Folders and single files of the package; below `dist` each folder has the name of a folder of src. */
const PUBLISHED =
  /^(?:dist\/(?:[\w-]+\/)*[\w-]+\.(?:js|d\.ts)|dist\/\.built|docs\/(?:(?:adr|leaks|lab|schema)\/)?[\w.-]+\.(?:md|json|svg|png)|native\/prebuilt\/(?:SHA256SUMS|[\w-]+\/[\w.-]+\.node)|native\/README\.md|README\.md|CHANGELOG\.md|SECURITY\.md|LICENSE|package\.json)$/;

test('npm pack takes code, pages and addons, and nothing else', () => {
  const output = execFileSync('npm', ['pack', '--dry-run', '--ignore-scripts', '--json'], {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [pack] = JSON.parse(output) as [{ files: { path: string; mode: number }[] }];
  const paths = pack.files.map(({ path }) => path);
  expect(paths.filter((path) => !PUBLISHED.test(path))).toEqual([]);
  expect(paths).toEqual(expect.arrayContaining(['package.json', 'SECURITY.md', 'LICENSE', 'docs/api.md']));
  expect(pack.files.length).toBeGreaterThan(50);
});

const LOCKS = ['package-lock.json', ...filesBelow('fixtures', /package-lock\.json$/)];

test('every package.json with dependencies has a lock file beside it', () => {
  const withDependencies = ['package.json', ...filesBelow('fixtures', /(?:^|\/)package\.json$/)].filter(
    (path) => {
      const { dependencies = {} } = readJson<Partial<Manifest>>(path);
      return Object.keys(dependencies).length > 0;
    },
  );
  const withoutLock = withDependencies.filter(
    (path) => !LOCKS.includes(path.replace(/package\.json$/, 'package-lock.json')),
  );
  expect(withoutLock).toEqual([]);
  expect(LOCKS.length).toBeGreaterThanOrEqual(20);
});

test.each(LOCKS)('%s has the integrity of each package and no download address', (path) => {
  const packages = Object.entries(readJson<Lock>(path).packages).filter(([name]) => name !== '');
  // npm drops the integrity of optional builds that a registry does not serve: CONTRIBUTING.md says how to get it back.
  const open = packages.filter(([, { integrity }]) => integrity === undefined);
  expect(open.map(([name]) => name)).toEqual([]);
  expect(packages.filter(([, { resolved }]) => resolved !== undefined)).toEqual([]);
});
