/** The rules of docs/architecture.md, checked on the import graph of `src`. */
import {
  closure,
  imports,
  isPackage,
  isSource,
  readSource,
  roomOf,
  sourceFiles,
  type Import,
} from '../support/source-graph.ts';

const BASE = ['core', 'types', 'kinds', 'config', 'heapsnapshot'];
const STAGES = [
  'hooks',
  'sample',
  'detect',
  'alert',
  'capture',
  'investigate',
  'child-process',
  'analyse',
  'report',
  'export',
  'deliver',
];
/**
 * Composers wire stages together. Each may import the base, itself, and the rooms and files named here. A file of the
 * root is its own room.
 */
const COMPOSERS: Readonly<Record<string, readonly string[]>> = {
  'index.ts': ['agent', 'agent.ts', 'memory-monitor.ts', 'heap-analyzer.ts'],
  'register.ts': ['agent.ts'],
  'agent.ts': ['agent', 'hooks'],
  agent: [
    'agent.ts',
    'channel.ts',
    'watcher.ts',
    'hooks',
    'sample',
    'capture',
    'child-process',
    'export',
    'report',
    'deliver',
  ],
  'channel.ts': ['export'],
  'watcher.ts': ['watcher', 'channel.ts', 'detection.ts', 'agent'],
  watcher: [
    'channel.ts',
    'detection.ts',
    'snapshots',
    'capture',
    'detect',
    'investigate',
    'analyse',
    'child-process',
    'report',
    'export',
    'deliver',
  ],
  'detection.ts': ['detect', 'alert', 'investigate'],
  snapshots: ['capture', 'child-process'],
  'memory-monitor.ts': ['hooks', 'sample', 'detect', 'report'],
  'heap-analyzer.ts': ['sample', 'capture', 'snapshots'],
  remedy: ['sample'],
  cli: ['detection.ts', 'heap-analyzer.ts', 'detect', 'capture', 'analyse', 'report', 'export', 'deliver'],
};

/** The files that start each thread or process. */
const ENTRIES = {
  application: ['index.ts', 'register.ts', 'cli/procedure/procedure-preload.ts'],
  watcher: ['watcher.ts'],
  child: [
    'analyse/analysis-process.ts',
    'analyse/census-process.ts',
    'analyse/renumber-process.ts',
    'analyse/read-snapshots.ts',
    'capture/redaction-process.ts',
  ],
  commandLine: ['cli/main.ts'],
  /** The application imports it, on its own thread, with or without the agent. */
  remedy: ['remedy/index.ts'],
} as const;
/** All files that run there. */
const FILES_BY_RUNTIME = {
  // Without Workers the watcher runs on the application thread. It may load packages there too.
  application: closure(ENTRIES.application, { cut: ['watcher.ts'] }),
  watcher: closure(ENTRIES.watcher),
  child: closure(ENTRIES.child),
  commandLine: closure(ENTRIES.commandLine),
  remedy: closure(ENTRIES.remedy),
};

/** Pure files compute from their arguments: no `node:` module, no package, no clock. */
const PURE = [
  /^kinds\//,
  /^detect\//,
  /^alert\//,
  /^report\//,
  /^capture\/gate\.ts$/,
  /^investigate\/(?!map-to-source\.ts$)/,
  /^export\/metrics\.ts$/,
  /^analyse\/(?!(?:index|read-snapshots|analysis-process|census-process|renumber-process|locate\/source-files)\.ts$)/,
];

/** The rooms of `analyse` import only those before them; the files beside the rooms combine them. */
const ANALYSE_ROOMS = ['graph', 'compare', 'locate', 'verdict', 'census'];

const isBase = (file: string): boolean => BASE.includes(roomOf(file));
const isStage = (file: string): boolean => STAGES.includes(roomOf(file));
const isPure = (file: string): boolean => PURE.some((pattern) => pattern.test(file));
const describeImport = ({ file, target }: Import): string => `${file} imports ${target}`;
const sourceImports = imports.filter(({ target }) => isSource(target));

test('the graph is read completely', () => {
  expect(sourceFiles.length).toBeGreaterThan(150);
  expect(sourceImports.length).toBeGreaterThan(500);
  const missing = sourceImports.filter(({ target }) => !sourceFiles.includes(target));
  expect(missing.map(describeImport)).toEqual([]);
});

test('every room is base, stage or composer, and the root has fewer than ten files', () => {
  const known = [...BASE, ...STAGES, ...Object.keys(COMPOSERS)];
  expect([...new Set(sourceFiles.map(roomOf))].filter((room) => !known.includes(room))).toEqual([]);
  expect(sourceFiles.filter((file) => !file.includes('/')).length).toBeLessThan(10);
});

describe('imports', () => {
  test('the base imports the base', () => {
    const breaches = sourceImports.filter(({ file, target }) => isBase(file) && !isBase(target));
    expect(breaches.map(describeImport)).toEqual([]);
  });

  test('a stage imports the base and its own room', () => {
    const breaches = sourceImports.filter(
      ({ file, target }) => isStage(file) && !isBase(target) && roomOf(target) !== roomOf(file),
    );
    expect(breaches.map(describeImport)).toEqual([]);
  });

  test('the rooms of the analyser import only the rooms before them', () => {
    const orderOf = (file: string): number => ANALYSE_ROOMS.indexOf(file.split('/')[1] ?? '');
    const inRooms = sourceImports.filter(({ file }) => roomOf(file) === 'analyse' && orderOf(file) >= 0);
    expect(new Set(inRooms.map(({ file }) => orderOf(file))).size).toBe(ANALYSE_ROOMS.length);
    const breaches = inRooms.filter(
      ({ file, target }) =>
        roomOf(target) === 'analyse' && (orderOf(target) < 0 || orderOf(target) > orderOf(file)),
    );
    expect(breaches.map(describeImport)).toEqual([]);
  });

  test('a stage knows the settings as types only', () => {
    const breaches = sourceImports.filter(
      ({ file, target, isTypeOnly }) => isStage(file) && roomOf(target) === 'config' && !isTypeOnly,
    );
    expect(breaches.map(describeImport)).toEqual([]);
  });

  test('a composer imports only what it is listed for', () => {
    const breaches = sourceImports.filter(({ file, target }) => {
      const allowed = COMPOSERS[roomOf(file)];
      return (
        allowed !== undefined &&
        !isBase(target) &&
        roomOf(target) !== roomOf(file) &&
        !allowed.includes(roomOf(target))
      );
    });
    expect(breaches.map(describeImport)).toEqual([]);
  });

  test('every permission of a composer is used', () => {
    const unused = Object.entries(COMPOSERS).flatMap(([composer, allowed]) =>
      allowed
        .filter(
          (room) =>
            !sourceImports.some(({ file, target }) => roomOf(file) === composer && roomOf(target) === room),
        )
        .map((room) => `${composer}: ${room}`),
    );
    expect(unused).toEqual([]);
  });

  test('a pure file imports no module of Node and no package', () => {
    const breaches = imports.filter(
      ({ file, target, isTypeOnly }) => isPure(file) && !isSource(target) && !isTypeOnly,
    );
    expect(breaches.map(describeImport)).toEqual([]);
  });

  test('types/index.ts is imported for its types only, so that no process loads its nine files', () => {
    const breaches = imports.filter(({ target, isTypeOnly }) => target === 'types/index.ts' && !isTypeOnly);
    expect(breaches.map(describeImport)).toEqual([]);
  });

  test('a package is loaded with its first use, never with the file that uses it', () => {
    const breaches = imports.filter(
      ({ target, isTypeOnly, isLazy }) => isPackage(target) && !isTypeOnly && !isLazy,
    );
    expect(breaches.map(describeImport)).toEqual([]);
  });
});

describe('threads and processes', () => {
  test('every file runs somewhere, or holds only types that such a file uses', () => {
    const runtimes = Object.values(FILES_BY_RUNTIME);
    const withTypes = closure(Object.values(ENTRIES).flat(), { withTypes: true });
    const declaresValue = /^(?:export )?(?:default |async |abstract )*(?:const|let|function|class|enum)\b/m;
    const dead = sourceFiles.filter((file) => {
      if (runtimes.some((files) => files.has(file))) return false;
      return !withTypes.has(file) || declaresValue.test(readSource(file));
    });
    expect(dead).toEqual([]);
  });

  test('the application thread names no package', () => {
    const breaches = imports.filter(
      ({ file, target, isTypeOnly }) =>
        FILES_BY_RUNTIME.application.has(file) && isPackage(target) && !isTypeOnly,
    );
    // The log is used in both threads and loads pino in the watcher only; test/e2e/closure.test.ts proves it.
    expect(breaches.map(describeImport)).toEqual(['core/log.ts imports pino']);
  });

  test('the remedies name no package but the ws of the application, and load nothing of the agent', () => {
    const breaches = imports.filter(
      ({ file, target, isTypeOnly }) => FILES_BY_RUNTIME.remedy.has(file) && isPackage(target) && !isTypeOnly,
    );
    expect(breaches.map(describeImport)).toEqual(['remedy/memory-safe-server.ts imports ws']);
    const rooms = [...new Set([...FILES_BY_RUNTIME.remedy].map(roomOf))].toSorted();
    expect(rooms).toEqual(['core', 'remedy', 'sample']);
  });

  test('only the watcher host starts the watcher on the application thread', () => {
    const importers = imports.filter(({ target, isTypeOnly }) => target === 'watcher.ts' && !isTypeOnly);
    expect(importers.map(describeImport)).toEqual(['agent/watcher-host.ts imports watcher.ts']);
  });

  test('hooks and probes run on the application thread only', () => {
    const rooms = ['hooks', 'sample'];
    const breaches = [
      ...FILES_BY_RUNTIME.watcher,
      ...FILES_BY_RUNTIME.child,
      ...FILES_BY_RUNTIME.commandLine,
    ].filter((file) => rooms.includes(roomOf(file)));
    expect(breaches).toEqual([]);
  });

  test('the application thread neither analyses a snapshot nor delivers', () => {
    const breaches = [...FILES_BY_RUNTIME.application].filter((file) =>
      ['analyse', 'heapsnapshot', 'investigate', 'alert', 'deliver'].includes(roomOf(file)),
    );
    // At `exit` the application thread marks the black box, because the watcher may be gone.
    expect(breaches).toEqual(['deliver/black-box.ts']);
  });

  test('the watcher reads source maps and analyses no snapshot', () => {
    const files = [...FILES_BY_RUNTIME.watcher].filter((file) => roomOf(file) === 'analyse');
    expect(files.length).toBeLessThan(6);
    expect(files.filter((file) => !/^analyse\/(?:locate|graph)\//.test(file))).toEqual([]);
    expect([...FILES_BY_RUNTIME.watcher].filter((file) => roomOf(file) === 'heapsnapshot')).toEqual([]);
  });

  test('a child process and the command line share no file with the running agent', () => {
    const rooms = ['agent', 'agent.ts', 'watcher', 'watcher.ts', 'channel.ts'];
    const breaches = [...FILES_BY_RUNTIME.child, ...FILES_BY_RUNTIME.commandLine].filter((file) =>
      rooms.includes(roomOf(file)),
    );
    expect(breaches).toEqual([]);
  });
});

test('only core/clock.ts reads the time and creates timers', () => {
  const pattern = /Date\.now\(|performance\.now\(|new Date\(\)|(?<![.\w])set(?:Interval|Timeout)\(/;
  const breaches = sourceFiles.filter((file) => file !== 'core/clock.ts' && pattern.test(readSource(file)));
  expect(breaches).toEqual([]);
});

test('a synchronous stat asks for big integers', () => {
  // Node 20 and 22 keep the last other one, and do not follow links after one of a pipe or socket (test/e2e/module-paths.test.ts).
  const calls = sourceFiles.flatMap((file) =>
    [...readSource(file).matchAll(/\b[fl]?statSync\(.*/g)].map(([call]) => `${file}: ${call}`),
  );
  expect(calls.length).toBeGreaterThan(15);
  expect(calls.filter((call) => !call.includes('bigint: true'))).toEqual([]);
});
