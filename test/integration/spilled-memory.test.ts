/** A forked snapshot whose working memory moves to a file. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { DIST, runScript } from '../support/capture-script.ts';

/** Chosen: much longer than a busy machine needs. */
const DEADLINE_MS = 240_000;
/** Not the temporary directory, which may be in memory. */
const BUILD = join(__dirname, '..', '..', 'native', 'build');
let dir: string;
beforeEach(() => {
  mkdirSync(BUILD, { recursive: true });
  dir = mkdtempSync(join(BUILD, 'spill-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

/**
 * The files of a cgroup are stand-ins. Memory is short until this much of it is in the file. Where it stays short, a busy
 * machine needs minutes.
 */
const SPILLED_BYTES = 4e6;
const SETUP = `
  globalThis.entries = Array.from({ length: 50_000 }, (_, index) => ({ index, text: 'entry ' + index }));
  const setUsage = (bytes) => fs.writeFileSync(DIR + '/usage', String(bytes));
  fs.writeFileSync(DIR + '/stat', 'inactive_file 0\\n');
  const endShortage = (readSpilledBytes) => {
    const timer = setInterval(() => {
      if (readSpilledBytes() <= ${SPILLED_BYTES}) return;
      setUsage(1);
      clearInterval(timer);
    }, 10);
    return timer;
  };
`;

const CAPTURE = `
  const { writeHeapSnapshot } = require('node:v8');
  const { waitForChild } = require(${JSON.stringify(join(DIST, 'capture', 'forked-child.js'))});
  const { loadAddon } = require(${JSON.stringify(join(DIST, 'capture', 'native-addon.js'))});
  const { openSpillFile } = require(${JSON.stringify(join(DIST, 'capture', 'spill-file.js'))});
  const { createClock } = require(${JSON.stringify(join(DIST, 'core', 'clock.js'))});
  ${SETUP}
  setUsage(990_500_000);
  const addon = loadAddon();
  const spillFile = openSpillFile(DIR);
  const spilledBytes = () => fs.fstatSync(spillFile).blocks * 512;
  const output = fs.openSync(DIR + '/snapshot', 'w+');
  const group = { usageFile: DIR + '/usage', statFile: DIR + '/stat', spillAboveBytes: 990_000_000, maxUsedBytes: 2e9 };
  const request = { deadlineMs: ${DEADLINE_MS}, maxCpuSeconds: 600, cpuShare: 1, maxGrowthBytes: 4e9, minAvailableBytes: 0,
    output, spillFile, maxSpillBytes: 2e9, memoryGroups: [{ ...group, ...GROUP }] };
  const shortage = endShortage(spilledBytes);
  const alive = setInterval(() => undefined, 1_000);
  addon.scanMarkedRanges().then((markedRanges) => {
    const attempt = () => {
      const forked = addon.forkCapture({ ...request, markedRanges }, () => writeHeapSnapshot('/proc/self/fd/' + output));
      if (forked.outcome !== 'forked') return setTimeout(attempt, 5);
      waitForChild(forked.pid, ${DEADLINE_MS}, { addon, clock: createClock() }).then((end) => {
        clearInterval(shortage);
        clearInterval(alive);
        print({ code: end.code, spilledBytes: spilledBytes() });
        print(fs.readdirSync(DIR).filter((name) => name.startsWith('.wsguard')));
      });
    };
    attempt();
  });
`;
const capture = (group: object = {}): unknown[] =>
  runScript(dir, `const [DIR, GROUP] = ${JSON.stringify([dir, group])};${CAPTURE}`);

interface SnapshotFile {
  readonly snapshot: {
    readonly node_count: number;
    readonly edge_count: number;
    readonly meta: { readonly node_fields: unknown[]; readonly edge_fields: unknown[] };
  };
  readonly nodes: number[];
  readonly edges: number[];
  readonly strings: string[];
}

test('a snapshot whose memory was on the disk is complete', () => {
  const [end, left] = capture();
  expect(end).toEqual({ code: 0, spilledBytes: expect.any(Number) });
  // The arena of this heap takes about 40 MB.
  expect((end as { spilledBytes: number }).spilledBytes).toBeGreaterThan(SPILLED_BYTES);
  expect(left).toEqual([]);
  const { snapshot, nodes, edges, strings } = JSON.parse(
    readFileSync(join(dir, 'snapshot'), 'utf8'),
  ) as SnapshotFile;
  expect(nodes).toHaveLength(snapshot.node_count * snapshot.meta.node_fields.length);
  expect(edges).toHaveLength(snapshot.edge_count * snapshot.meta.edge_fields.length);
  const entries = new Set(strings.filter((text) => /^entry \d+$/.test(text)));
  expect(entries.size).toBe(50_000);
});

test('a child that cannot move enough memory ends itself before the kernel would', () => {
  const [end] = capture({ maxUsedBytes: 990_100_000 });
  expect(end).toMatchObject({ code: 82 });
});

/** The container has 1,000 MiB, of which 930 are used: the first child ends itself, the second one moves memory. */
const CAPTURE_TWICE = `
  const { CgroupMemory } = require(${JSON.stringify(join(DIST, 'core', 'cgroup.js'))});
  ${SETUP}
  const MIB = 1024 * 1024;
  setUsage(930 * MIB);
  let attempts = 0;
  CgroupMemory.prototype.limitedGroups = () => {
    attempts += 1;
    return [{ usageFile: DIR + '/usage', statFile: DIR + '/stat', limitBytes: 1000 * MIB }];
  };
  let maxSpilledBytes = 0;
  const readSpilledBytes = () => {
    for (const pid of children()) {
      const folder = '/proc/' + pid + '/fd/';
      try {
        for (const name of fs.readdirSync(folder)) {
          if (!fs.readlinkSync(folder + name).includes('.wsguard-spill')) continue;
          maxSpilledBytes = Math.max(maxSpilledBytes, fs.statSync(folder + name).blocks * 512);
        }
      } catch {
        // The process has ended.
      }
    }
    return maxSpilledBytes;
  };
  const shortage = endShortage(readSpilledBytes);
  const limits = () => ({ heapCapacityBytes: 2e9, containerBytes: null, containerUsedBytes: null, availableBytes: null });
  take({ snapshotDir: DIR, limits }).then((snapshot) => {
    clearInterval(shortage);
    print({ snapshot, attempts, maxSpilledBytes });
  });
`;

test('a child that ends for lack of memory is followed by one whose memory moves to a file', () => {
  const [result] = runScript(dir, `const DIR = ${JSON.stringify(dir)};${CAPTURE_TWICE}`);
  expect(result).toMatchObject({ snapshot: { outcome: 'written', redacted: true }, attempts: 2 });
  expect((result as { maxSpilledBytes: number }).maxSpilledBytes).toBeGreaterThan(SPILLED_BYTES);
  const [name] = readdirSync(dir).filter((each) => each.endsWith('.heapsnapshot.gz'));
  const { snapshot, nodes, strings } = JSON.parse(
    gunzipSync(readFileSync(join(dir, name!))).toString(),
  ) as SnapshotFile;
  expect(nodes).toHaveLength(snapshot.node_count * snapshot.meta.node_fields.length);
  expect(strings.filter((text) => text.startsWith('entry '))).toEqual([]);
});
