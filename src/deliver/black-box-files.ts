/** What a black box holds, read back: cut off, damaged, or written by another version. What is not whole is left out. */

import { existsSync, readFileSync } from 'node:fs';
import { isKind } from '../kinds/index.ts';
import type { Alert, Sample } from '../types/index.ts';

/** The end of the newest segment may be cut off in the middle of a line; what parses counts. */
export function samplesOf(files: readonly string[]): Sample[] {
  return files
    .flatMap((file) => (existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []))
    .map(parse)
    .filter(isSample)
    .toSorted((a, b) => a.seq - b.seq);
}

export function readAlerts(file: string): Alert[] {
  const kept = readJson<unknown>(file);
  return Array.isArray(kept) ? kept.filter(isAlert) : [];
}

export function readJson<T>(file: string): T | null {
  return existsSync(file) ? (parse(readFileSync(file, 'utf8')) as T | null) : null;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

type Fields = Readonly<Record<string, unknown>>;
const isRecord = (value: unknown): value is Fields => typeof value === 'object' && value !== null;

function isSample(value: unknown): value is Sample {
  if (!isRecord(value)) return false;
  const { atMs, wallMs, memory, limits, connections } = value;
  return (
    typeof atMs === 'number' &&
    typeof wallMs === 'number' &&
    isRecord(memory) &&
    isRecord(limits) &&
    isRecord(connections) &&
    isRecord(connections['active'])
  );
}

/** An id names a folder. */
const ID = /^[\w-]{1,100}$/;

function isAlert(value: unknown): value is Alert {
  if (!isRecord(value)) return false;
  const { schema, id, kind, fingerprint, service } = value;
  return (
    schema === 'wsguard.alert/1' &&
    typeof id === 'string' &&
    ID.test(id) &&
    isKind(kind) &&
    typeof fingerprint === 'string' &&
    typeof service === 'string' &&
    ['evidence', 'also', 'against', 'snapshots'].every((rows) => isRows(value[rows]))
  );
}

const isRows = (value: unknown): boolean => Array.isArray(value) && value.every(isRecord);
