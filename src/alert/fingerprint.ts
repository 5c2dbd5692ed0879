/** `fingerprintOf` identifies the subject of an alert across restarts and hosts. `isMuted` reads WSGUARD_MUTE. */
import type { Finding } from '../types/index.ts';

/** FNV-1a with 64 bits. */
const OFFSET = 0xcbf29ce484222325n;
const PRIME = 0x100000001b3n;
const MASK = (1n << 64n) - 1n;

/** The hash of service, family and subject. Pid, host, time and data that arrives after the opening are not in it. */
export function fingerprintOf(
  service: string,
  { family, subject }: Pick<Finding, 'family' | 'subject'>,
): string {
  let hash = OFFSET;
  for (const part of [service, family, subject]) {
    for (let i = 0; i < part.length; i += 1) hash = ((hash ^ BigInt(part.charCodeAt(i))) * PRIME) & MASK;
    // A separator, so that "a" + "bc" and "ab" + "c" differ.
    hash = ((hash ^ 0xffffn) * PRIME) & MASK;
  }
  return hash.toString(16).padStart(16, '0');
}

/** An entry is `fingerprint:until`, with an ISO time or epoch milliseconds; without a time it never ends. */
export function isMuted(mute: readonly string[], fingerprint: string, wallMs: number): boolean {
  return mute.some((entry) => {
    const separator = entry.indexOf(':');
    const mutedFingerprint = (separator < 0 ? entry : entry.slice(0, separator)).trim();
    if (mutedFingerprint !== fingerprint) return false;
    if (separator < 0) return true;
    const until = entry.slice(separator + 1).trim();
    const untilMs = /^\d{5,}$/.test(until) ? Number(until) : Date.parse(until);
    return wallMs < untilMs;
  });
}
