/** Memory outside the heap: Buffers (external), and what only RSS shows (native code, compression contexts). */

import type { Evidence, Verdict } from '../types/index.ts';
import { blocksOf, type Blocks } from './blocks.ts';
import { found, quiet, type Detector, type View } from './detector.ts';
import { HOUR_MS, MINUTE_MS, type FloorPoint, type History } from './history.ts';
import { formatChange, formatDuration } from '../core/format.ts';

/**
 * Of the memory there is, what Buffers must have risen by: fast within half an hour, slower within a whole one. Where
 * there are gigabytes a share of them is no measure: so many bytes in a line are told as well.
 */
const EXTERNAL_RULES = [
  { windowMs: 30 * MINUTE_MS, rise: 0.04, enoughBytes: 32 * 1024 ** 2 },
  { windowMs: 60 * MINUTE_MS, rise: 0.02, enoughBytes: 16 * 1024 ** 2 },
] as const;
const EXTERNAL_LATE = 0.25;
/** Compression contexts show a tenth of themselves as external: with less than this of RSS, Buffers are not the story. */
const MIN_SHARE_OF_RSS = 0.3;
/** RSS also holds what the allocator keeps for later, so it takes longer and more to mean something. */
const NATIVE_WINDOW_MS = 60 * MINUTE_MS;
const NATIVE_RISE = 0.1;
const NATIVE_MIN_BYTES = 24 * 1024 ** 2;
/** The allocator's own slack grows with the process: a share of RSS, and never less than this, is enough. */
const NATIVE_ENOUGH = { bytes: 48 * 1024 ** 2, ofRss: 0.3 } as const;
const NATIVE_LATE = 0.35;
const STOPPED = 0.15;
const FELL = 0.7;
const CLIMBED = 0.1;
const MIN_SPAN = 0.25;
const HELD = 0.5;

export const external: Detector = {
  name: 'external',
  look({ history }) {
    const verdicts = EXTERNAL_RULES.map((rule) => judgeExternal(history, rule));
    const [first] = verdicts;
    const told = verdicts.find(({ answer }) => answer === 'found') ?? first;
    return told === undefined ? [] : [told];
  },
};

function judgeExternal(history: History, rule: (typeof EXTERNAL_RULES)[number]): Verdict {
  const { windowMs, rise, enoughBytes } = rule;
  const column = history.window.column('externalBytes');
  const blocks = blocksOf(history, (row) => column[row] ?? Number.NaN, { windowMs });
  if (blocks === null) return notFull('external', windowMs);
  const threshold = Math.min(rise * memoryOf(history), enoughBytes);
  const evidence = evidenceOf('wsguard_external_bytes', blocks, threshold);
  const said = `Buffers outside the heap ${formatChange(blocks.rise)} in ${formatDuration(blocks.spanMs)}`;
  if (blocks.rise < threshold) return quiet('external', 'ok', said, { evidence });
  if (!blocks.keepsRising || blocks.lateShare < EXTERNAL_LATE)
    return quiet('external', 'plateau', `${said}, not steadily`, { evidence });
  if (!outlivesCollections(history, blocks, ({ externalBytes }) => externalBytes))
    return notCollected('external', said, evidence);
  if (connectionsRose(history, windowMs))
    return quiet('external', 'inconclusive', `${said}, in step with the connections`, { evidence });
  if (blocks.rise < floorRise(history, windowMs))
    return quiet('external', 'inconclusive', `${said}; the heap rose more`, { evidence });
  const rss = history.window.column('rssBytes');
  const resident = blocksOf(history, (row) => rss[row] ?? Number.NaN, { windowMs });
  if (resident !== null && blocks.rise < MIN_SHARE_OF_RSS * resident.rise)
    return quiet('external', 'inconclusive', `${said}; RSS ${formatChange(resident.rise)}`, { evidence });
  return found('external', { kind: 'external-buffers', subject: 'external', title: said, evidence });
}

export const native: Detector = {
  name: 'native',
  look(view) {
    const { history } = view;
    const { window, rebasedMs, startedMs } = history;
    const rss = window.column('rssBytes');
    const heap = window.column('heapTotalBytes');
    const buffers = window.column('externalBytes');
    const rest = (row: number): number => (rss[row] ?? 0) - (heap[row] ?? 0) - (buffers[row] ?? 0);
    // RSS rises 10 to 30 MB while the first connections come; counted from after that, or after an own snapshot.
    const fromMs = Math.max(startedMs + 2 * MINUTE_MS, rebasedMs + MINUTE_MS);
    const blocks = blocksOf(history, rest, { windowMs: NATIVE_WINDOW_MS, fromMs });
    if (blocks === null) return [notFull('native', NATIVE_WINDOW_MS)];
    const enough = Math.max(NATIVE_ENOUGH.bytes, NATIVE_ENOUGH.ofRss * (rss.at(-1) ?? 0));
    const threshold = Math.max(NATIVE_MIN_BYTES, Math.min(NATIVE_RISE * memoryOf(history), enough));
    const evidence = evidenceOf('rss_beyond_heap_and_external_bytes', blocks, threshold);
    const said = `RSS beyond heap and Buffers ${formatChange(blocks.rise)} in ${formatDuration(blocks.spanMs)}`;
    if (blocks.rise < threshold) return [quiet('native', 'ok', said, { evidence })];
    if (blocks.lateShare < STOPPED)
      return [quiet('native', whyKept(view), `${said} and then stopped`, { evidence })];
    if (!blocks.keepsRising || blocks.lateShare < NATIVE_LATE)
      return [quiet('native', 'inconclusive', `${said}, not steadily`, { evidence })];
    if (!outlivesCollections(history, blocks, ({ restBytes }) => restBytes))
      return [notCollected('native', said, evidence)];
    if (connectionsRose(history, NATIVE_WINDOW_MS))
      return [quiet('native', 'inconclusive', `${said}, in step with the connections`, { evidence })];
    if (blocks.rise < floorRise(history, NATIVE_WINDOW_MS))
      return [quiet('native', 'inconclusive', `${said}; the heap rose more`, { evidence })];
    return [found('native', { kind: 'native-or-compression', subject: 'rss', title: said, evidence })];
  },
};

/** The burst is over and its memory is still held: the allocator keeps it. Else what took it is still there. */
function whyKept({ history: { window } }: View): 'allocator-retention' | 'plateau' {
  const isBack = (key: string): boolean => {
    const values = window.column(key).filter((value) => !Number.isNaN(value));
    return (values.at(-1) ?? 0) < FELL * values.reduce((most, value) => Math.max(most, value), 0);
  };
  return isBack('connections') || isBack('oldSpaceBytes') || isBack('externalBytes')
    ? 'allocator-retention'
    : 'plateau';
}

/** The container's limit, or where there is none twice the heap's. */
const memoryOf = ({ last }: History): number =>
  last?.limits.containerBytes ?? 2 * (last?.memory.heapLimitBytes ?? Number.NaN);

/**
 * Buffers that nobody holds any more are freed by the next major collection, and those are rare: only what rises from
 * collection to collection, at half the pace at least, is held.
 */
function outlivesCollections(
  { floors, nowMs }: History,
  { rise, spanMs }: Blocks,
  bytesOf: (floor: FloorPoint) => number,
): boolean {
  const last = floors.at(-1);
  if (last === undefined || last.atMs < nowMs - spanMs) return false;
  const before = floors.findLast(({ atMs }) => atMs <= last.atMs - spanMs * MIN_SPAN);
  if (before === undefined) return false;
  const pace = (bytesOf(last) - bytesOf(before)) / (last.atMs - before.atMs);
  return pace >= HELD * (rise / spanMs);
}

const notCollected = (detector: string, said: string, evidence: Evidence[]): Verdict =>
  quiet(detector, 'inconclusive', `${said}; what is held shows after a major collection`, {
    evidence,
    missing: 'two major collections a quarter of the window apart, with the second in it',
  });

/** Each connection has buffers and perhaps a compression context; while they climb too, they may be all of it. */
function connectionsRose(history: History, windowMs: number): boolean {
  const answering = history.window.column('answering');
  const of = (row: number): number => answering[row] ?? Number.NaN;
  const blocks = blocksOf(history, of, { windowMs, fromMs: history.startedMs });
  return (
    blocks !== null && blocks.lateShare > 0 && blocks.rise > CLIMBED * Math.max(blocks.minima[0] ?? 0, 1)
  );
}

function floorRise({ floors, nowMs }: History, windowMs: number): number {
  const inWindow = floors.filter(({ atMs }) => atMs >= nowMs - windowMs);
  return inWindow.length < 2 ? 0 : (inWindow.at(-1)?.bytes ?? 0) - (inWindow[0]?.bytes ?? 0);
}

const notFull = (detector: string, windowMs: number) =>
  quiet(detector, 'warming-up', 'the window is not full yet', {
    missing: `${windowMs / MINUTE_MS} min of samples`,
  });

const evidenceOf = (name: string, blocks: Blocks, threshold: number): Evidence[] => [
  { name, value: blocks.minima.at(-1) ?? 0, unit: 'By' },
  { name: 'risen_in_window', value: blocks.rise, unit: 'By', threshold, windowMs: blocks.spanMs },
  {
    name: 'wsguard_memory_growth_bytes_per_hour',
    value: (blocks.rise / blocks.spanMs) * HOUR_MS,
    unit: 'By/h',
  },
];
