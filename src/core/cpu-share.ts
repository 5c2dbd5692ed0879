/**
 * The share of the CPU for a child process. A cgroup's CPU quota is for all its processes together, so a busy child would
 * use up the server's quota however low its priority is.
 */

/** Chosen: from two cores on a child on one of them leaves the server enough. */
const MIN_FULL_SHARE_CORES = 2;
/** Chosen: a job takes ten times as long with this share, and longer with less. */
const MIN_SHARE = 0.1;

/** The share of one core that a child may use: a quarter of a quota below two cores, else all of it. */
export function cpuShareFor(quotaCores: number | null): number {
  if (quotaCores === null || quotaCores >= MIN_FULL_SHARE_CORES) return 1;
  return Math.max(MIN_SHARE, quotaCores / 4);
}
