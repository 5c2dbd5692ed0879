/** Combines graph, comparison and verdicts into an `Analysis`. */
import { formatBytes, formatCount, formatSpot } from '../core/format.ts';
import type { Analysis, ExpectedGrowth, Suspect } from '../types/index.ts';
import { classRows, duplicatedStrings, externalRows, takeCensus } from './compare/census.ts';
import { countConnections, findAcceptedSockets } from './compare/connections.ts';
import { NO_CONTAINERS, measureContainers } from './compare/containers.ts';
import type { SnapshotMatch } from './compare/growth.ts';
import { idsAgree, matchByIds, matchByPath } from './compare/matching.ts';
import type { EarlierSnapshot } from './compare/matching.ts';
import { buildGraph } from './graph/graph.ts';
import type { Heap } from './graph/heap.ts';
import type { Scripts } from './graph/scripts.ts';
import { exportedNamesIn } from './locate/exported-names.ts';
import type { Sources } from './locate/sources.ts';
import type { Packages } from './verdict/known-leaks.ts';
import { findNativeGrowth } from './verdict/native-growth.ts';
import { findHolders, findLargeContainers } from './verdict/single-snapshot.ts';
import { findSuspects } from './verdict/suspects.ts';

type AnalysisResult = Omit<Analysis, 'schema' | 'snapshots'>;

export interface EarlierSnapshots {
  /** In the order in which they were taken. */
  readonly earlier: readonly EarlierSnapshot[];
  /** Reads one of them again, because matching by path needs its whole graph. */
  readonly readAgain: (index: number) => Promise<Heap>;
}

export function analyseSingle(heap: Heap, sources: Sources): AnalysisResult {
  const graph = buildGraph(heap, exportedNamesIn(sources));
  const first: SnapshotMatch = {
    earlierNode: new Uint8Array(heap.nodeCount),
    earlier: NO_CONTAINERS,
    current: measureContainers(heap),
    isExact: true,
  };
  const packages = packagesOf(graph.scripts, sources);
  const comparison = { graph, first, middle: null, censuses: null, sources, packages };
  const suspects = findLargeContainers(comparison);
  const census = takeCensus(heap);
  return {
    suspects,
    growing: [],
    clean: false,
    because: singleSentence(suspects, duplicatedStrings(heap)),
    matchedBy: null,
    holders: findHolders(comparison),
    classes: classRows(census, null),
    external: externalRows(census, null),
    connections: countConnections(findAcceptedSockets(heap), null),
  };
}

function singleSentence(
  [first]: readonly Suspect[],
  { copies, bytes }: { copies: number; bytes: number },
): string {
  const suspect =
    first === undefined
      ? 'No container has closed sockets or many listeners.'
      : `Most suspicious: ${first.name}, ${formatCount(first.objects)} ${first.entries}.`;
  const strings = `${formatCount(copies)} strings are copies of others (${formatBytes(bytes)}).`;
  return `${suspect} ${strings} Compare it with a second snapshot to see what grows.`;
}

export async function analyseGrowth(
  heap: Heap,
  { earlier, readAgain }: EarlierSnapshots,
  sources: Sources,
): Promise<AnalysisResult> {
  // The graph comes first: it needs the most memory and releases most of it.
  const graph = buildGraph(heap, exportedNamesIn(sources));
  const current = measureContainers(heap);
  const matchWith = async (index: number): Promise<SnapshotMatch> => {
    const snapshot = earlier[index]!;
    const isExact = idsAgree(heap, snapshot);
    const earlierNode = isExact ? matchByIds(heap, snapshot) : matchByPath(await readAgain(index), heap);
    return { earlierNode, earlier: snapshot.sizes, current, isExact };
  };
  const first = await matchWith(0);
  const middle = earlier.length > 1 ? await matchWith(1) : null;
  const census = takeCensus(heap);
  const { census: earlierCensus, accepted } = earlier[0]!;
  const censuses = { current: census, earlier: earlierCensus, middle: earlier[1]?.census ?? null };
  const packages = packagesOf(graph.scripts, sources);
  const comparison = { graph, first, middle, censuses, sources, packages };
  const { suspects: containers, growing } = findSuspects(comparison);
  const suspects = containers.length > 0 ? containers : findNativeGrowth(comparison, earlierCensus);
  return {
    suspects,
    growing,
    clean: suspects.length === 0,
    because: growthSentence(suspects, growing),
    matchedBy: first.isExact ? 'id' : 'path',
    holders: [],
    classes: classRows(census, earlierCensus),
    external: externalRows(census, earlierCensus),
    connections: countConnections(findAcceptedSockets(heap), {
      accepted,
      earlierNode: first.isExact ? first.earlierNode : null,
    }),
  };
}

function growthSentence([first]: readonly Suspect[], growing: readonly ExpectedGrowth[]): string {
  if (first !== undefined) {
    const { name, objects, location, path } = first;
    const place = location === null ? '' : `, added at ${formatSpot(location)}`;
    const retainer = path.join('') === name ? '' : `, retained by ${path.join('')}`;
    return `${name} gained ${formatCount(objects)} entries${place}${retainer}.`;
  }
  const [expected] = growing;
  if (expected === undefined) return 'No container grew.';
  const { name, objects, because } = expected;
  return `No container grew unexpectedly. ${name} gained ${formatCount(objects)} entries, but ${because}.`;
}

/** The packages that have at least one function in the heap. */
function packagesOf(scripts: Scripts, sources: Sources): Packages {
  const packages = new Map<string, string[]>();
  for (const file of scripts.userFiles()) {
    const [, name, version] = /^(.+)@([^@]+)$/.exec(sources.packageOf(file) ?? '') ?? [];
    if (name === undefined || version === undefined) continue;
    const versions = packages.get(name) ?? [];
    if (!versions.includes(version)) versions.push(version);
    packages.set(name, versions);
  }
  return packages;
}
