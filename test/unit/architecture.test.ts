import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, posix } from 'node:path';

const SRC = join(__dirname, '..', '..', 'src');

const STAGES = [
  'hooks',
  'sample',
  'detect',
  'alert',
  'capture',
  'investigate',
  'analyse',
  'report',
  'export',
  'deliver',
  'child-process',
];
const BASE_FOLDERS = ['core', 'types', 'heapsnapshot', 'config', 'kinds'];
const PURE = [
  /^detect\//,
  /^alert\//,
  /^report\//,
  /^capture\/gate\.ts$/,
  /^investigate\/(?!map-to-source\.ts$)/,
  /^export\/metrics\.ts$/,
  /^analyse\/(?!(?:index|graph\/read|second-thread|second-thread-entry|analysis-process|locate\/source-files|locate\/source-maps)\.ts$)/,
];
/** What runs on the application's thread: it loads no package at all. */
const APP_THREAD = [
  /^index\.ts$/,
  /^register\.ts$/,
  /^agent/,
  /^hooks\//,
  /^sample\//,
  /^capture\/write\.ts$/,
  /^memory-monitor\.ts$/,
];

interface Import {
  readonly file: string;
  readonly target: string;
  readonly typeOnly: boolean;
  readonly lazy: boolean;
}

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .map((name) => name.split('\\').join('/'))
  .filter((name) => name.endsWith('.ts'));

function importsOf(file: string): Import[] {
  const text = readFileSync(join(SRC, file), 'utf8');
  const found: Import[] = [];
  for (const match of text.matchAll(/^(?:import|export)\s+(type\s+)?[^'"`;]*?from\s+'([^']+)'/gm)) {
    found.push({
      file,
      target: resolve(file, match[2] ?? ''),
      typeOnly: match[1] !== undefined,
      lazy: false,
    });
  }
  for (const match of text.matchAll(/(?:require|import)\(\s*'([^']+)'\s*\)/g)) {
    found.push({ file, target: resolve(file, match[1] ?? ''), typeOnly: false, lazy: true });
  }
  return found;
}

const resolve = (file: string, target: string): string =>
  target.startsWith('.') ? posix.normalize(posix.join(dirname(file), target)) : target;

const isOurs = (target: string): boolean => target.endsWith('.ts');
const isBuiltin = (target: string): boolean => target.startsWith('node:') || builtinModules.includes(target);
const folderOf = (file: string): string => (file.includes('/') ? (file.split('/')[0] ?? '') : '');
const isBase = (file: string): boolean => BASE_FOLDERS.includes(folderOf(file));
const isStage = (file: string): boolean => STAGES.includes(folderOf(file));

const all = files.flatMap(importsOf);

test('there is something to check', () => {
  expect(files.length).toBeGreaterThan(5);
  expect(all.length).toBeGreaterThan(3);
});

test('a stage imports base, types and its own folder, never another stage or a composer', () => {
  const breaches = all.filter(
    ({ file, target }) =>
      isStage(file) && isOurs(target) && !isBase(target) && folderOf(target) !== folderOf(file),
  );
  expect(breaches).toEqual([]);
});

test('stages know the settings as types only', () => {
  expect(
    all.filter(({ file, target, typeOnly }) => isStage(file) && folderOf(target) === 'config' && !typeOnly),
  ).toEqual([]);
});

test('base imports base only', () => {
  expect(all.filter(({ file, target }) => isBase(file) && isOurs(target) && !isBase(target))).toEqual([]);
});

test('pure files touch neither node nor a package nor the clock', () => {
  const isPure = (file: string): boolean => PURE.some((pattern) => pattern.test(file));
  expect(all.filter(({ file, target, typeOnly }) => isPure(file) && !isOurs(target) && !typeOnly)).toEqual(
    [],
  );
  const readsTime = files.filter(
    (file) =>
      isPure(file) && /Date\.now|performance\.now|new Date\(\)/.test(readFileSync(join(SRC, file), 'utf8')),
  );
  expect(readsTime).toEqual([]);
});

test('nothing on the app thread names a package', () => {
  const onAppThread = (file: string): boolean =>
    APP_THREAD.some((pattern) => pattern.test(file)) || isBase(file);
  const named = all.filter(
    ({ file, target, typeOnly }) => onAppThread(file) && !typeOnly && !isOurs(target) && !isBuiltin(target),
  );
  expect(named.filter(({ file }) => file !== 'core/log.ts')).toEqual([]);
});

test('only clock.ts makes timers and reads the time', () => {
  const pattern = /Date\.now\(|performance\.now\(|(?<![.\w])setInterval\(|(?<![.\w])setTimeout\(/;
  const offenders = files.filter(
    (file) => file !== 'core/clock.ts' && pattern.test(readFileSync(join(SRC, file), 'utf8')),
  );
  expect(offenders).toEqual([]);
});
