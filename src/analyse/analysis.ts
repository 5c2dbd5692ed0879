import type { Analysis, ExpectedGrowth, Suspect } from '../types/index.ts';
import { classRows, duplicatedStrings, externalRows, takeCensus } from './compare/census.ts';
import { countConnections, findAccepted } from './verdict/connections.ts';
import { countHoldings } from './compare/entries.ts';
import type { Holdings } from './compare/entries.ts';
import { graphOf } from './graph/graph.ts';
import type { Heap } from './graph/heap.ts';
import type { Pairing } from './compare/growth.ts';
import { idsAgree, matchByIds } from './compare/match.ts';
import type { Packages } from './verdict/known.ts';
import { findNative } from './verdict/native.ts';
import { pairByPath } from './compare/pair.ts';
import type { Scripts } from './locate/scripts.ts';
import type { Earlier } from './compare/match.ts';
import { formatSpot } from './locate/sources.ts';
import type { Sources } from './locate/sources.ts';
import { findHeld, findHolders } from './verdict/single.ts';
import { findSuspects } from './verdict/suspects.ts';

type Found = Omit<Analysis, 'schema' | 'snapshots'>;

/** Earlier snapshots in their order, and a way to read one again should its whole graph be needed. */
export interface Before {
  readonly earlier: readonly Earlier[];
  readonly again: (at: number) => Promise<Heap>;
}

export function analyseOne(heap: Heap, sources: Sources): Found {
  const graph = graphOf(heap);
  const now = countHoldings(heap);
  const nothing = { nodes: new Uint32Array(0), entries: new Uint32Array(0), storeBytes: new Float64Array(0) };
  const first = {
    before: new Uint8Array(heap.nodeCount),
    earlier: nothing,
    now,
    isExact: true,
  };
  const packages = packagesOf(graph.scripts, sources);
  const comparison = { graph, first, middle: null, censuses: null, sources, packages };
  const suspects = findHeld(comparison);
  const census = takeCensus(heap);
  return {
    suspects,
    growing: [],
    clean: false,
    because: becauseOfOne(suspects, duplicatedStrings(heap)),
    matchedBy: null,
    holders: findHolders(comparison, now),
    classes: classRows(census, null),
    external: externalRows(census, null),
    connections: countConnections(findAccepted(heap), null),
  };
}

function becauseOfOne([first]: readonly Suspect[], strings: { copies: number; bytes: number }): string {
  const what =
    first === undefined
      ? 'Nothing in it holds closed sockets or a crowd of listeners.'
      : `Most suspicious: ${first.name}, ${first.objects} ${first.entries}.`;
  return `${what} ${strings.copies} strings are copies of others (${Math.round(strings.bytes / 1024)} KiB). What grows, a second snapshot shows.`;
}

export async function analyseGrowth(heap: Heap, before: Before, sources: Sources): Promise<Found> {
  // The graph first: it needs the most memory, and gives most of that back.
  const graph = graphOf(heap);
  const now = countHoldings(heap);
  const first = await pairWith(heap, now, before, 0);
  const middle = before.earlier.length > 1 ? await pairWith(heap, now, before, 1) : null;
  const census = takeCensus(heap);
  const earlier = before.earlier[0]!.census;
  const censuses = { now: census, earlier, middle: before.earlier[1]?.census ?? null };
  const packages = packagesOf(graph.scripts, sources);
  const comparison = { graph, first, middle, censuses, sources, packages };
  const { suspects: containers, growing } = findSuspects(comparison);
  const suspects = containers.length > 0 ? containers : findNative(comparison, earlier);
  return {
    suspects,
    growing,
    clean: suspects.length === 0,
    because: becauseOf(suspects, growing),
    matchedBy: first.isExact ? 'id' : 'path',
    holders: [],
    classes: classRows(census, earlier),
    external: externalRows(census, earlier),
    connections: countConnections(findAccepted(heap), {
      accepted: before.earlier[0]!.accepted,
      before: first.isExact ? first.before : null,
    }),
  };
}

async function pairWith(heap: Heap, now: Holdings, { earlier, again }: Before, at: number): Promise<Pairing> {
  const that = earlier[at]!;
  const isExact = idsAgree(heap, that);
  const before = isExact ? matchByIds(heap, that) : pairByPath(await again(at), heap);
  return { before, earlier: that.holdings, now, isExact };
}

function packagesOf(scripts: Scripts, sources: Sources): Packages {
  const packages = new Map<string, string[]>();
  for (const file of scripts.userFiles()) {
    const found = /^(.+)@([^@]+)$/.exec(sources.packageOf(file) ?? '');
    if (found === null) continue;
    const [, name, version] = found as unknown as [string, string, string];
    const versions = packages.get(name) ?? [];
    if (!versions.includes(version)) versions.push(version);
    packages.set(name, versions);
  }
  return packages;
}

function becauseOf([first]: readonly Suspect[], growing: readonly ExpectedGrowth[]): string {
  if (first !== undefined) {
    const at = first.location === null ? '' : ` (${formatSpot(first.location)})`;
    return `${first.name} gained ${first.objects} entries${at}: ${first.path.join('')}.`;
  }
  const [excused] = growing;
  const but =
    excused === undefined ? '' : ` ${excused.name} grew by ${excused.objects}, but ${excused.because}.`;
  return `Nothing that was there before holds more than it did.${but}`;
}
