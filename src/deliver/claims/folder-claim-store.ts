/** Claims in a directory that several processes share. A hard link fails where its name exists, so one process wins. */
import { linkSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { readSmallRegularFile } from '../../core/files.ts';
import {
  createHiddenFile,
  makeFolder,
  makePrivateFolder,
  removeEmptyFolder,
  removeFile,
  replaceFile,
} from '../../core/folders.ts';
import { errorReason } from '../http-request.ts';
import type { ClaimStore, Unavailable } from './claim.ts';

const FOLDER = 'claims';
const MAX_CLAIM_BYTES = 4096;

export function createFolderClaimStore(dir: string): ClaimStore {
  const root = join(dir, FOLDER);
  const fileOf = (name: string): string => join(root, ...name.split('/'));
  return {
    create: (name, text) => Promise.resolve(create(dir, fileOf(name), text)),
    read: (name) => {
      try {
        return Promise.resolve(readSmallRegularFile(fileOf(name), MAX_CLAIM_BYTES));
      } catch (error) {
        return Promise.resolve({ reason: errorReason(error) });
      }
    },
    replace: (name, text) => {
      try {
        replaceFile(fileOf(name), text);
      } catch {
        // The claim then looks abandoned, and another process takes over.
      }
      return Promise.resolve();
    },
    placeOf: fileOf,
    snapshotPlace: (alertId, file) => file ?? join(dir, alertId),
  };
}

/** The claim appears with its content, so that no process reads half of it. */
function create(dir: string, file: string, text: string): 'created' | 'exists' | Unavailable {
  let temporary: string | null = null;
  try {
    makePrivateFolder(dir);
    makeFolder(dirname(file));
    removeEarlierClaims(file);
    temporary = createHiddenFile(dirname(file));
    writeFileSync(temporary, text);
    linkSync(temporary, file);
    return 'created';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EEXIST' ? 'exists' : { reason: errorReason(error) };
  } finally {
    if (temporary !== null) removeFile(temporary);
  }
}

const DATE = /^\d{4}-\d\d-\d\d$/;

/** A folder for each fingerprint of the service, a file for each day. Nobody asks for the claim of an earlier day. */
function removeEarlierClaims(file: string): void {
  const fingerprints = dirname(dirname(file));
  for (const entry of readdirSync(fingerprints, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    const folder = join(fingerprints, entry.name);
    for (const date of readdirSync(folder))
      if (DATE.test(date) && date < basename(file)) removeFile(join(folder, date));
    if (folder !== dirname(file)) removeEmptyFolder(folder);
  }
}
