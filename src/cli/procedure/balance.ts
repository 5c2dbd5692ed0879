/** The memory that a load took and the memory that remains of it, from the totals of three snapshots. */
import type { SnapshotSummary } from '../../analyse/index.ts';
import { formatBytes, formatCount, formatShare } from '../../core/format.ts';

type Steps = Readonly<Record<'start' | 'loaded' | 'drained', SnapshotSummary>>;

export interface Balance {
  readonly steps: Steps;
  /** `loaded` minus `start`, 0 or more. */
  readonly loadBytes: number;
  /** `drained` minus `start`, 0 or more. */
  readonly remainingBytes: number;
}

export const balanceOf = (steps: Steps): Balance => ({
  steps,
  loadBytes: Math.max(0, steps.loaded.selfBytes - steps.start.selfBytes),
  remainingBytes: Math.max(0, steps.drained.selfBytes - steps.start.selfBytes),
});

export function balanceText({ steps, loadBytes, remainingBytes }: Balance): string {
  const rows = Object.entries(steps).map(
    ([step, { file, nodes, selfBytes }]) =>
      `${step.padEnd(7)}  ${formatBytes(selfBytes).padStart(9)}  ${formatCount(nodes).padStart(11)} objects  ${file}`,
  );
  return [...rows, '', conclusion(loadBytes, remainingBytes)].join('\n');
}

function conclusion(loadBytes: number, remainingBytes: number): string {
  if (loadBytes === 0)
    return 'The load took no memory: loaded is not larger than start. Check the order of the files.';
  const share = `${formatBytes(remainingBytes)} (${formatShare(remainingBytes / loadBytes)})`;
  return `The load took ${formatBytes(loadBytes)}. After it had gone, ${share} remained.`;
}
