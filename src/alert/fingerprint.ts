/** Who an alert is about, the same after every restart and on every host: never pid, time or what is learned later. */

import type { Family, Finding } from '../types/index.ts';

const OFFSET = 0xcbf29ce484222325n;
const PRIME = 0x100000001b3n;
const MASK = (1n << 64n) - 1n;

export function fingerprintOf(
  service: string,
  { family, subject }: Pick<Finding, 'family' | 'subject'>,
): string {
  let hash = OFFSET;
  for (const part of [service, family satisfies Family, subject]) {
    // FNV-1a over UTF-16 units; the separator keeps "a" + "bc" and "ab" + "c" apart.
    for (let i = 0; i < part.length; i += 1) hash = ((hash ^ BigInt(part.charCodeAt(i))) * PRIME) & MASK;
    hash = ((hash ^ 0xffffn) * PRIME) & MASK;
  }
  return hash.toString(16).padStart(16, '0');
}

/** `fingerprint:until`, until as ISO time or epoch milliseconds; without it for ever. */
export function isMuted(mute: readonly string[], fingerprint: string, wallMs: number): boolean {
  return mute.some((entry) => {
    const at = entry.indexOf(':');
    const named = (at < 0 ? entry : entry.slice(0, at)).trim();
    if (named !== fingerprint) return false;
    if (at < 0) return true;
    const until = entry.slice(at + 1).trim();
    const untilMs = /^\d{5,}$/.test(until) ? Number(until) : Date.parse(until);
    return wallMs < untilMs;
  });
}
