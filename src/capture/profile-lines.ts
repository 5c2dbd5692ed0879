/** From a tree of call frames to the lines of the application that made what still lives. Pure. */

import type { AllocationProfile, ProfileLine } from '../types/index.ts';

export interface ProfileNode {
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly selfSize: number;
  readonly children: readonly ProfileNode[];
}

const TOP_LINES = 10;
/** A recursive program's tree is deep: the walk keeps a stack of its own. */
interface Step {
  readonly node: ProfileNode;
  readonly own: ProfileNode | null;
  readonly package: ProfileNode | null;
}

/** Bytes go to the nearest frame of the application's own code, else to the nearest one of a package. */
export function summariseProfile(
  head: ProfileNode,
  intervalBytes: number,
  agentFolder: string,
): AllocationProfile {
  const byPlace = new Map<string, ProfileLine & { bytes: number }>();
  let totalBytes = 0;
  const steps: Step[] = [{ node: head, own: null, package: null }];
  for (let step = steps.pop(); step !== undefined; step = steps.pop()) {
    const { node } = step;
    const kind = kindOf(node.callFrame.url, agentFolder);
    const own = kind === 'own' ? node : step.own;
    const inPackage = kind === 'package' ? node : step.package;
    totalBytes += node.selfSize;
    const frame = own ?? inPackage;
    if (node.selfSize > 0 && frame !== null) add(byPlace, frame, node.selfSize);
    for (const child of node.children) steps.push({ node: child, own, package: inPackage });
  }
  const lines = [...byPlace.values()].sort((a, b) => b.bytes - a.bytes).slice(0, TOP_LINES);
  return {
    intervalBytes,
    totalBytes,
    lines: lines.map((line) => ({ ...line, share: totalBytes === 0 ? 0 : line.bytes / totalBytes })),
  };
}

/** What the agent allocates is not the application's doing, wherever the agent is installed. */
function kindOf(url: string, agentFolder: string): 'own' | 'package' | 'none' {
  if (url === '' || url.startsWith('node:') || url.replace('file://', '').startsWith(agentFolder))
    return 'none';
  return url.includes('/node_modules/') ? 'package' : 'own';
}

function add(
  byPlace: Map<string, ProfileLine & { bytes: number }>,
  { callFrame }: ProfileNode,
  bytes: number,
): void {
  const { functionName, url, lineNumber } = callFrame;
  const key = `${url}:${lineNumber}:${functionName}`;
  const line = byPlace.get(key);
  if (line !== undefined) {
    byPlace.set(key, { ...line, bytes: line.bytes + bytes });
    return;
  }
  const file = url.startsWith('file://') ? decodeURIComponent(url.slice('file://'.length)) : url;
  const name = functionName === '' ? null : functionName;
  // Frames count lines from 0, and say where the function begins.
  byPlace.set(key, { file, line: lineNumber + 1, function: name, bytes, share: 0 });
}
