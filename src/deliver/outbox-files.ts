/**
 * Keeps the pending items of one outbox as files in the folder of this process, so that they survive its end. A new process
 * of the same service takes over the files of processes that have ended.
 */
import { randomBytes } from 'node:crypto';
import { readdirSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readSmallRegularFile } from '../core/files.ts';
import { makeFolder, makePrivateFolder } from '../core/folders.ts';
import type { Identity } from '../types/index.ts';
import { blackBoxFolder, OUTBOX_NAME } from './black-box.ts';
import type { OutboxStore, StoredItem } from './outbox.ts';

/** The directory of an outbox. */
export interface OutboxDirectory {
  /** WSGUARD_DIR. */
  readonly dir: string;
  readonly identity: Identity;
  /** Called once, when the first item could not be written. */
  readonly onUnwritable: (error: unknown) => void;
}

interface Envelope<T> {
  readonly schema: typeof SCHEMA;
  readonly service: string;
  readonly addedWallMs: number;
  readonly item: T;
}

const SCHEMA = 'wsguard.outbox/1';
/** Time, number within the process, random part. Names sort by age. */
const FILE_NAME = /^\d{13}-\d{6}-[0-9a-f]{12}\.json$/;
const TEMPORARY_NAME = /^\d{13}-\d{6}-[0-9a-f]{12}\.json\.tmp$/;
const PRIVATE_FILE = 0o600;
/** A message is one alert of some kilobytes. */
const MAX_FILE_BYTES = 1024 ** 2;
/** Bounds the work at start; the rest is taken over at the next start. */
const MAX_CLAIMED = 256;

/** `sink` is the name of the folder: `webhook`, `upload`, `s3`. */
const outboxFolder = (instanceFolder: string, sink: string): string =>
  join(instanceFolder, OUTBOX_NAME, sink);

export class OutboxFiles<T> implements OutboxStore<T> {
  readonly #directory: OutboxDirectory;
  readonly #sink: string;
  readonly #isItem: (value: unknown) => value is T;
  readonly #folder: string;
  #added = 0;
  #isUnwritable = false;

  constructor(directory: OutboxDirectory, sink: string, isItem: (value: unknown) => value is T) {
    this.#directory = directory;
    this.#sink = sink;
    this.#isItem = isItem;
    this.#folder = outboxFolder(blackBoxFolder(directory.dir, directory.identity.instance), sink);
  }

  add(item: T, addedWallMs: number): StoredItem<T> | null {
    this.#added += 1;
    const number = String(this.#added % 1_000_000).padStart(6, '0');
    const name = `${addedWallMs}-${number}-${randomBytes(6).toString('hex')}.json`;
    return this.#write(name, item, addedWallMs);
  }

  update(stored: StoredItem<T>, item: T): StoredItem<T> | null {
    return this.#write(stored.name, item, stored.addedWallMs);
  }

  remove({ name }: StoredItem<T>): void {
    tolerate(() => rmSync(join(this.#folder, name), { force: true }));
    removeEmpty([this.#folder, dirname(this.#folder)]);
  }

  /** `endedFolders` are the folders of processes that have ended. */
  takeOver(endedFolders: readonly string[]): StoredItem<T>[] {
    let claimed = 0;
    for (const ended of endedFolders) {
      const folder = outboxFolder(ended, this.#sink);
      for (const name of this.#namesIn(folder)) {
        if (claimed >= MAX_CLAIMED) break;
        if (this.#claim(folder, name)) claimed += 1;
      }
      removeEmpty([folder, dirname(folder), ended]);
    }
    return this.#namesIn(this.#folder).flatMap((name) => this.#read(this.#folder, name) ?? []);
  }

  /** The rename is atomic: of several new processes one gets the file. Files of other services stay. */
  #claim(folder: string, name: string): boolean {
    if (this.#read(folder, name)?.service !== this.#directory.identity.service) return false;
    return tolerate(() => {
      makeFolder(this.#folder);
      renameSync(join(folder, name), join(this.#folder, name));
    });
  }

  /** Removes what a process was writing when it ended. Files with other names are not ours. */
  #namesIn(folder: string): string[] {
    let names: string[] = [];
    tolerate(() => {
      const entries = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile());
      names = entries.map(({ name }) => name);
    });
    for (const name of names.filter((candidate) => TEMPORARY_NAME.test(candidate)))
      tolerate(() => rmSync(join(folder, name), { force: true }));
    return names.filter((name) => FILE_NAME.test(name)).toSorted();
  }

  /** Removes a damaged file. */
  #read(folder: string, name: string): (StoredItem<T> & { readonly service: string }) | null {
    const file = join(folder, name);
    try {
      const text = readSmallRegularFile(file, MAX_FILE_BYTES);
      const { schema, service, addedWallMs, item } = JSON.parse(text) as Envelope<unknown>;
      if (schema === SCHEMA && typeof addedWallMs === 'number' && this.#isItem(item))
        return { name, bytes: Buffer.byteLength(text), addedWallMs, item, service };
    } catch (error) {
      // Another process may have claimed or sent it.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    }
    tolerate(() => rmSync(file, { force: true }));
    return null;
  }

  #write(name: string, item: T, addedWallMs: number): StoredItem<T> | null {
    const { dir, identity, onUnwritable } = this.#directory;
    const envelope: Envelope<T> = { schema: SCHEMA, service: identity.service, addedWallMs, item };
    const text = JSON.stringify(envelope);
    const file = join(this.#folder, name);
    try {
      if (Buffer.byteLength(text) > MAX_FILE_BYTES) throw Object.assign(new Error(), { code: 'EFBIG' });
      makePrivateFolder(dir);
      makeFolder(this.#folder);
      writeFileSync(`${file}.tmp`, text, { mode: PRIVATE_FILE, flag: 'wx' });
      renameSync(`${file}.tmp`, file);
      return { name, bytes: Buffer.byteLength(text), addedWallMs, item };
    } catch (error) {
      tolerate(() => rmSync(`${file}.tmp`, { force: true }));
      if (!this.#isUnwritable) onUnwritable(error);
      this.#isUnwritable = true;
      return null;
    }
  }
}

/** A folder that is not empty stays. */
function removeEmpty(folders: readonly string[]): void {
  for (const folder of folders) tolerate(() => rmdirSync(folder));
}

/** Returns false when the file system refused. */
function tolerate(task: () => void): boolean {
  try {
    task();
    return true;
  } catch {
    return false;
  }
}
