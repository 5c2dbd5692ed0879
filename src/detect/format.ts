/** Numbers as people read them. */

import type { TimeToLimit } from '../types/index.ts';
import { MINUTE_MS } from './history.ts';

const group = (digits: string): string => digits.replace(/\B(?=(\d{3})+(?!\d))/g, ',');

export const sayCount = (count: number): string => group(String(Math.round(count)));

export function sayBytes(bytes: number): string {
  const size = Math.abs(bytes);
  if (size >= 1024 ** 3) return `${(bytes / 1024 ** 3).toFixed(1)} GiB`;
  if (size >= 10 * 1024 ** 2) return `${(bytes / 1024 ** 2).toFixed(0)} MiB`;
  if (size >= 1024 ** 2) return `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
  return `${(bytes / 1024).toFixed(0)} KiB`;
}

/** `rose 4.6 MB`, `fell 16 KB`. */
export const sayChange = (bytes: number): string =>
  `${bytes < 0 ? 'fell' : 'rose'} ${sayBytes(Math.abs(bytes))}`;

export const sayMinutes = (ms: number): string => `${sayCount(ms / MINUTE_MS)} min`;
export const sayShare = (share: number): string => `${Math.round(share * 100)} %`;

/** Steps that suit the size: 42 min, 3.5 h, 4 days. */
function amount(ms: number): { value: string; unit: string } {
  const minutes = ms / MINUTE_MS;
  if (minutes < 1) return { value: String(Math.max(0, Math.round(ms / 1000))), unit: 's' };
  if (minutes < 120) return { value: String(Math.round(minutes)), unit: 'min' };
  const hours = minutes / 60;
  if (hours < 48) return { value: String(Math.round(hours * 2) / 2), unit: 'h' };
  return { value: String(Math.round(hours / 24)), unit: 'days' };
}

/** `in about 42 min (30 to 65)`; a unit is repeated only where it differs. */
export function sayTimeToLimit({ ms, lowMs, highMs }: TimeToLimit): string {
  const about = amount(ms);
  const bound = (at: { value: string; unit: string }): string =>
    at.unit === about.unit ? at.value : `${at.value} ${at.unit}`;
  const high = highMs === null ? 'unknown' : bound(amount(highMs));
  return `in about ${about.value} ${about.unit} (${bound(amount(lowMs))} to ${high})`;
}
