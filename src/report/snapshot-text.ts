/** The outcome of a snapshot in words, for the report's text and page. */
import type { Snapshot } from '../types/index.ts';
import { formatBytes, formatDuration } from '../core/format.ts';

type Written = Extract<Snapshot, { outcome: 'written' }>;
type Refused = Extract<Snapshot, { outcome: 'refused' }>;

/** `1.9 GiB, the process was paused for 812 ms, strings masked`. */
export const writtenText = ({ bytes, pauseMs, redacted }: Written): string =>
  `${formatBytes(bytes)}, the process was paused for ${formatDuration(pauseMs)}, ${redactionText(redacted)}`;

export const redactionText = (redacted: boolean): string =>
  redacted ? 'strings masked' : 'NOT masked: it contains secrets in clear text';

/** The reason, with the byte counts appended where the reason does not state them. */
export function refusalText({ reason, needBytes, haveBytes }: Refused): string {
  if (/\d [KMGT]?i?B\b/.test(reason)) return reason;
  const need = needBytes === undefined ? '' : `, needs ${formatBytes(needBytes)}`;
  const have = haveBytes === undefined ? '' : `, ${formatBytes(haveBytes)} available`;
  return `${reason}${need}${have}`;
}
