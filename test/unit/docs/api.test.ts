/** docs/api.md has a heading for everything that the package exports, and a row for every option. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Agent } from '../../../src/agent/api.ts';
import type { HeapAnalyzer, HeapAnalyzerOptions } from '../../../src/heap-analyzer.ts';
import type { MemoryMonitor, MemoryMonitorOptions } from '../../../src/memory-monitor.ts';
import type { MemoryStats, Status } from '../../../src/types/index.ts';
import { examplesOf } from '../../support/examples.ts';

const ROOT = join(__dirname, '..', '..', '..');
const PAGE = readFileSync(join(ROOT, 'docs', 'api.md'), 'utf8');
const HEADINGS = [...PAGE.matchAll(/^#{2,3} (.+)$/gm)].map(([, heading]) => heading ?? '');
const membersOf = (prefix: string): string[] =>
  HEADINGS.flatMap((heading) => (heading.startsWith(`${prefix}.`) ? [heading.slice(prefix.length + 1)] : []))
    .map((heading) => heading.replace(/\(.*/, ''))
    .toSorted();

/** Exhaustive by type: a new member does not compile until it is here, and fails until it has a heading. */
const AGENT: Record<keyof Agent, true> = {
  watchRegistry: true,
  watchQueue: true,
  watchRooms: true,
  watchEmitter: true,
  watchConnection: true,
  on: true,
  status: true,
  snapshot: true,
  audit: true,
  collectInto: true,
  stop: true,
};
const MONITOR: Record<keyof MemoryMonitor, true> = {
  start: true,
  stop: true,
  on: true,
  getMemoryStats: true,
  checkForLeak: true,
  getReport: true,
};
const ANALYZER: Record<keyof HeapAnalyzer, true> = {
  snapshotDir: true,
  snapshotCount: true,
  takeSnapshot: true,
  scheduleSnapshots: true,
  watchMemory: true,
  procedure: true,
  analyse: true,
  analyze: true,
};
const MONITOR_OPTIONS: Record<keyof MemoryMonitorOptions, true> = {
  intervalMs: true,
  alertThreshold: true,
  maxHistory: true,
  maxMemoryBytes: true,
  registries: true,
};
const ANALYZER_OPTIONS: Record<keyof HeapAnalyzerOptions, true> = {
  snapshotDir: true,
  method: true,
  pauseBudgetMs: true,
  maxSnapshots: true,
  cooldownMs: true,
  redact: true,
  onSnapshot: true,
  clock: true,
  limits: true,
};

test.each<[string, Record<string, true>]>([
  ['agent', AGENT],
  ['monitor', MONITOR],
  ['analyzer', ANALYZER],
])('each member of %s has its heading, and no heading is left over', (prefix, members) => {
  expect(membersOf(prefix)).toEqual(Object.keys(members).toSorted());
});

test.each<[string, Record<string, true>]>([
  ['MemoryMonitor', MONITOR_OPTIONS],
  ['HeapAnalyzer', ANALYZER_OPTIONS],
])('each option of %s has its row', (name, options) => {
  const [, section = ''] = PAGE.split(`### new ${name}(options?)`);
  const [table = ''] = section.split('\n### ');
  const cells = [...table.matchAll(/^\|([^|]+)\|/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`(\w+)`/g)].map(([, option = '']) => option),
  );
  expect(cells.toSorted()).toEqual(Object.keys(options).toSorted());
});

const STATUS: Record<keyof Status | keyof Status['connections'], true> = {
  watcher: true,
  service: true,
  instance: true,
  uptimeMs: true,
  connections: true,
  active: true,
  unanswering: true,
  unaskable: true,
  retained: true,
  byTransport: true,
  ids: true,
  memory: true,
  timeToLimit: true,
  verdicts: true,
  alerts: true,
  blind: true,
};
const MEMORY_STATS: Record<keyof MemoryStats, true> = {
  heapUsed: true,
  heapTotal: true,
  heapLimit: true,
  rss: true,
  external: true,
  arrayBuffers: true,
  mallocedMemory: true,
  peakMallocedMemory: true,
  usagePercent: true,
  registries: true,
};

test.each<[string, Record<string, true>]>([
  ['Status', STATUS],
  ['MemoryStats', MEMORY_STATS],
])('the section of %s describes each field', (name, fields) => {
  const [, section = ''] = PAGE.split(`### ${name}\n`);
  const [text = ''] = section.split('\n### ');
  expect(Object.keys(fields).filter((field) => !new RegExp(`\`${field}\\??\``).test(text))).toEqual([]);
});

test('each exported name has its heading', () => {
  const index = readFileSync(join(ROOT, 'src', 'index.ts'), 'utf8');
  const names = new Set<string>();
  for (const [, list = ''] of index.matchAll(/^export type \{([^}]*)\}/gm))
    for (const [name] of list.matchAll(/\w+/g)) names.add(name);
  for (const [, name = ''] of index.matchAll(/^export (?:type|declare const|function) (\w+)/gm))
    names.add(name);
  expect(names.size).toBeGreaterThan(10);
  const documented = HEADINGS.map((heading) => heading.replace(/\(.*/, ''));
  expect([...names].filter((name) => !documented.includes(name))).toEqual([]);
});

test('each member has an example that uses it', () => {
  const examples = examplesOf(PAGE);
  for (const [prefix, members] of Object.entries({ agent: AGENT, monitor: MONITOR, analyzer: ANALYZER }))
    for (const member of Object.keys(members)) {
      const used = examples.filter(
        ({ heading, code }) => heading.startsWith(prefix) && code.includes(member),
      );
      expect([member, used.length > 0]).toEqual([member, true]);
    }
});
