/** `applicationOnPaths`: the application's function between the entries of a container and their closed connections. */
import type { Graph } from '../graph/graph.ts';
import { isPackageFile, type CodePosition } from '../graph/scripts.ts';
import { unwrapFunction } from '../locate/creator.ts';
import type { EntryConnections } from './closed-connections.ts';

/**
 * A package that keeps the entries often has no function of the application near them: from a subscription of
 * graphql-subscriptions to the generator that waits for it are fourteen references, and a wider search reaches everything.
 */
export function applicationOnPaths(
  graph: Pick<Graph, 'heap' | 'scripts'>,
  connections: EntryConnections,
  entries: readonly number[],
): CodePosition | null {
  return mostFrequent(entries.map((entry) => firstOfApplication(graph, connections.pathBelow(entry))));
}

export function mostFrequent(positions: readonly (CodePosition | null)[]): CodePosition | null {
  const votes = new Map<string, { readonly position: CodePosition; count: number }>();
  for (const position of positions) {
    if (position === null) continue;
    const key = `${position.file}:${position.line}:${position.column}`;
    const vote = votes.get(key) ?? { position, count: 0 };
    vote.count += 1;
    votes.set(key, vote);
  }
  const [first] = [...votes.values()].toSorted((a, b) => b.count - a.count);
  return first?.position ?? null;
}

function firstOfApplication(
  { heap, scripts }: Pick<Graph, 'heap' | 'scripts'>,
  path: readonly number[],
): CodePosition | null {
  for (const node of path) {
    // A suspended generator or async function has the position of its code.
    const position = scripts.userPosition(unwrapFunction(heap, node));
    if (position !== null && !isPackageFile(position.file) && !scripts.isAgentFile(position.file))
      return position;
  }
  return null;
}
