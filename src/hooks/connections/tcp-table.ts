/**
 * Finds connections whose peer is lost in the kernel's TCP table (/proc/net/tcp): their bytes are retransmitted, or the peer has
 * closed and the application, which does not read, has not learned it.
 */
import type * as FsPromises from 'node:fs/promises';
import type { Socket } from 'node:net';
import type { Guard } from '../../core/guard.ts';
import type { Clock } from '../../types/index.ts';

const TABLES = ['/proc/net/tcp', '/proc/net/tcp6'];
/** 64 KiB are about 430 lines of 2 us each, so parsing one chunk takes less than a millisecond. */
const CHUNK_BYTES = 64 * 1024;
/** The table lists the whole network namespace. At 2 us a line 50,000 lines take 100 ms; longer tables are not read. */
const MAX_LINES = 50_000;
/** Timer 01 is the retransmit timer. A slow reader has 04, the zero-window probe. */
const RETRANSMIT_TIMER = '01';
/** CLOSE_WAIT: the peer has closed. Where the application reads, Node learns it and the state is over in a moment. */
const PEER_CLOSED = '08';
/** One or two retransmits happen on a healthy network. */
const MIN_RETRANSMITS = 3;
const READ_EVERY_MS = 60_000;
const MIN_READ_EVERY_MS = 5_000;

/** Reads the table at most once a minute. */
export class TcpTable {
  readonly #clock: Clock;
  readonly #guard: Guard;
  readonly #periodMs: number;
  readonly #files: readonly string[];
  #readAtMs = -Infinity;
  #unreadable: string | null = null;

  constructor(clock: Clock, guard: Guard, timeScale: number, files: readonly string[] = TABLES) {
    this.#clock = clock;
    this.#guard = guard;
    this.#periodMs = Math.max(READ_EVERY_MS / timeScale, MIN_READ_EVERY_MS);
    this.#files = files;
  }

  /** Why the table cannot be read here; null when it can. */
  get unreadable(): string | null {
    return this.#unreadable;
  }

  /** Starts a read when one is due. `onPeers` receives the keys of `lostPeers`. */
  requestRead(onPeers: (peers: ReadonlySet<string>) => void): void {
    const nowMs = this.#clock.nowMs();
    const isDue = nowMs - this.#readAtMs >= this.#periodMs;
    if (process.platform !== 'linux' || this.#unreadable !== null || !isDue) return;
    this.#readAtMs = nowMs;
    void this.#guard.runAsync('tcp table', () => this.#read(onPeers), undefined);
  }

  async #read(onPeers: (peers: ReadonlySet<string>) => void): Promise<void> {
    const peers = await lostPeers(this.#files).catch((error: NodeJS.ErrnoException) =>
      unreadableBecause(error.code),
    );
    if (typeof peers === 'string') this.#unreadable = peers;
    else if (peers === null) this.#unreadable = 'it has more than 50,000 connections';
    else onPeers(peers);
  }
}

const unreadableBecause = (code = 'unknown error'): string => `it cannot be read (${code})`;

/**
 * Keys (`peerKey`) of the connections whose last bytes the kernel keeps sending again, a sign of a cut network that needs
 * no reply from the peer, and of those whose peer has closed. Null when the table is too long.
 */
export async function lostPeers(tables: readonly string[] = TABLES): Promise<ReadonlySet<string> | null> {
  // Loaded with the first peer that cannot be probed, because it takes 90 kB of the application's heap (measured).
  const { open } = require('node:fs/promises') as typeof FsPromises;
  const peers = new Set<string>();
  for (const table of tables) {
    if (!(await scan(open, table, peers))) return null;
  }
  return peers;
}

async function scan(open: typeof FsPromises.open, table: string, peers: Set<string>): Promise<boolean> {
  const file = await open(table).catch((error: NodeJS.ErrnoException) => {
    // A kernel without IPv6 has no second table.
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (file === null) return true;
  try {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    let partialLine = '';
    for (let lines = 0; lines < MAX_LINES;) {
      const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES, null);
      if (bytesRead === 0) return true;
      const complete = (partialLine + chunk.toString('latin1', 0, bytesRead)).split('\n');
      partialLine = complete.pop() ?? '';
      lines += complete.length;
      for (const line of complete) noteLine(line, peers);
    }
    return false;
  } finally {
    await file.close();
  }
}

/** The columns are `sl local rem st tx:rx tr:when retrnsmt uid timeout inode`. */
function noteLine(line: string, peers: Set<string>): void {
  const [, local, remote, state, , timer, retransmits] = line.trim().split(/\s+/);
  if (local === undefined || remote === undefined || timer === undefined || retransmits === undefined) return;
  const isCut = timer.startsWith(RETRANSMIT_TIMER) && Number.parseInt(retransmits, 16) >= MIN_RETRANSMITS;
  if (!isCut && state !== PEER_CLOSED) return;
  const port = Number.parseInt(local.slice(local.indexOf(':') + 1), 16);
  peers.add(`${port} ${remote}`);
}

/**
 * Key of a connection: its local port and its peer as the table writes it, each 32-bit word of the address in the byte
 * order of the host (little endian).
 */
export function peerKey({ localPort, remoteAddress, remotePort }: Socket): string | null {
  if (localPort === undefined || remoteAddress === undefined || remotePort === undefined) return null;
  const bytes = addressBytes(remoteAddress);
  if (bytes === null) return null;
  let hex = '';
  for (let word = 0; word < bytes.length; word += 4) {
    for (let byte = 3; byte >= 0; byte -= 1) hex += hexByte(bytes[word + byte] ?? 0);
  }
  return `${localPort} ${hex}:${remotePort.toString(16).padStart(4, '0').toUpperCase()}`;
}

const hexByte = (byte: number): string => byte.toString(16).padStart(2, '0').toUpperCase();

function addressBytes(address: string): number[] | null {
  // A link-local address can end with its interface: `fe80::1%eth0`.
  const bare = address.split('%', 1)[0] ?? '';
  if (!bare.includes(':')) return bare.split('.').map(Number);
  const v4 = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(bare);
  const words = (part: string): number[] =>
    part === '' ? [] : part.split(':').flatMap((word) => twoBytes(Number.parseInt(word, 16)));
  const tail = v4 === null ? [] : v4.slice(2).map(Number);
  const [before = '', after] = (v4 === null ? bare : (v4[1] ?? '')).split('::');
  const head = words(before.replace(/:$/, ''));
  const rest = [...words((after ?? '').replace(/:$/, '')), ...tail];
  const zeros = 16 - head.length - rest.length;
  if (zeros < 0) return null;
  return [...head, ...Array.from({ length: zeros }, () => 0), ...rest];
}

const twoBytes = (word: number): number[] => [(word >> 8) & 0xff, word & 0xff];
