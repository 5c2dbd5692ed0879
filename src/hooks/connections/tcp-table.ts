import { open } from 'node:fs/promises';
import type { Socket } from 'node:net';
import type { Guard } from '../../core/guard.ts';
import type { Clock } from '../../types/index.ts';

const TABLES = ['/proc/net/tcp', '/proc/net/tcp6'];
/** About 2 us a line: 64 KiB are 430 lines, under a millisecond between two reads. */
const CHUNK_BYTES = 64 * 1024;
/** The table is the whole network namespace's; beyond this it costs more than it tells. */
const MAX_LINES = 50_000;
const RETRANSMIT_TIMER = '01';
const MIN_RETRANSMITS = 3;
const MINUTE_MS = 60_000;
const SHORTEST_PERIOD_MS = 5_000;

/** Read at most once a minute, and only where somebody cannot be asked. */
export class KernelEvidence {
  readonly #clock: Clock;
  readonly #guard: Guard;
  readonly #periodMs: number;
  #readAtMs = -Infinity;
  #blind: string | null = null;

  constructor(clock: Clock, guard: Guard, timeScale: number) {
    this.#clock = clock;
    this.#guard = guard;
    this.#periodMs = Math.max(MINUTE_MS / timeScale, SHORTEST_PERIOD_MS);
  }

  /** Why the table cannot be read here. */
  get blind(): string | null {
    return this.#blind;
  }

  ask(onPeers: (peers: ReadonlySet<string>) => void): void {
    const nowMs = this.#clock.nowMs();
    if (process.platform !== 'linux' || this.#blind !== null || nowMs - this.#readAtMs < this.#periodMs)
      return;
    this.#readAtMs = nowMs;
    void this.#guard.runAsync('kernel', () => this.#read(onPeers), undefined);
  }

  async #read(onPeers: (peers: ReadonlySet<string>) => void): Promise<void> {
    const peers = await retransmittingPeers().catch(
      (error: NodeJS.ErrnoException) => error.code ?? 'unreadable',
    );
    if (typeof peers === 'string') this.#blind = peers;
    else if (peers === null) this.#blind = 'too many connections in this network namespace';
    else onPeers(peers);
  }
}

/**
 * Ends of the connections whose last bytes the kernel keeps sending again: the one sign of a cut network that needs no
 * answer. Keys as `peerKey` makes them; null when the table is too long to be read here.
 */
export async function retransmittingPeers(
  tables: readonly string[] = TABLES,
): Promise<ReadonlySet<string> | null> {
  const peers = new Set<string>();
  for (const table of tables) {
    if (!(await scan(table, peers))) return null;
  }
  return peers;
}

async function scan(table: string, peers: Set<string>): Promise<boolean> {
  const file = await open(table).catch((error: NodeJS.ErrnoException) => {
    // A kernel without IPv6 has no second table.
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (file === null) return true;
  try {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    let rest = '';
    for (let lines = 0; lines < MAX_LINES;) {
      const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES, null);
      if (bytesRead === 0) return true;
      const parts = (rest + chunk.toString('latin1', 0, bytesRead)).split('\n');
      rest = parts.pop() ?? '';
      lines += parts.length;
      for (const line of parts) note(line, peers);
    }
    return false;
  } finally {
    await file.close();
  }
}

/** `sl local rem st tx:rx tr:when retrnsmt uid timeout inode` */
function note(line: string, peers: Set<string>): void {
  const [, local, remote, , , timer, retransmits] = line.trim().split(/\s+/);
  if (local === undefined || remote === undefined || timer === undefined || retransmits === undefined) return;
  if (!timer.startsWith(RETRANSMIT_TIMER) || Number.parseInt(retransmits, 16) < MIN_RETRANSMITS) return;
  const port = Number.parseInt(local.slice(local.indexOf(':') + 1), 16);
  peers.add(`${port} ${remote}`);
}

/** The table's spelling of a connection's far end: each 32-bit word of the address in the host's byte order. */
export function peerKey({ localPort, remoteAddress, remotePort }: Socket): string | null {
  if (localPort === undefined || remoteAddress === undefined || remotePort === undefined) return null;
  const bytes = addressBytes(remoteAddress);
  if (bytes === null) return null;
  let hex = '';
  for (let at = 0; at < bytes.length; at += 4) {
    for (let back = 3; back >= 0; back -= 1) hex += hexByte(bytes[at + back] ?? 0);
  }
  return `${localPort} ${hex}:${remotePort.toString(16).padStart(4, '0').toUpperCase()}`;
}

const hexByte = (byte: number): string => byte.toString(16).padStart(2, '0').toUpperCase();

function addressBytes(address: string): number[] | null {
  const bare = address.split('%', 1)[0] ?? '';
  if (!bare.includes(':')) return bare.split('.').map(Number);
  const v4 = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(bare);
  const words = (part: string): number[] =>
    part === '' ? [] : part.split(':').flatMap((word) => twoBytes(Number.parseInt(word, 16)));
  const tail = v4 === null ? [] : v4.slice(2).map(Number);
  const [before = '', after] = (v4 === null ? bare : (v4[1] ?? '')).split('::');
  const head = words(before.replace(/:$/, ''));
  const rest = [...words((after ?? '').replace(/:$/, '')), ...tail];
  const fill = 16 - head.length - rest.length;
  if (fill < 0) return null;
  return [...head, ...Array.from({ length: fill }, () => 0), ...rest];
}

const twoBytes = (word: number): number[] => [(word >> 8) & 0xff, word & 0xff];
