/** `DescriptorClasses` reads what the descriptors of this process refer to. It runs in the watcher, off the application's thread. */
import { readdirSync, readlinkSync } from 'node:fs';
import type { Clock, ResourceCounts, Sample } from '../types/index.ts';

const FOLDER = '/proc/self/fd';
/** One link takes about 10 us, so 10,000 descriptors take 0.1 s of the watcher. Reading takes at most this share of its time. */
const MAX_SHARE = 0.005;

export class DescriptorClasses {
  readonly #clock: Clock;
  readonly #folder: string;
  #nextMs = 0;
  #isReadable: boolean;

  constructor(clock: Clock, { folder = FOLDER, platform = process.platform } = {}) {
    this.#clock = clock;
    this.#folder = folder;
    this.#isReadable = platform === 'linux';
  }

  /** The sample with the classes, when a reading is due. The sockets are without the accepted ones. */
  addTo(sample: Sample): Sample {
    const { descriptors, resources } = sample;
    const startedMs = this.#clock.nowMs();
    // Without the number of accepted sockets the others cannot be told apart.
    if (!this.#isReadable || startedMs < this.#nextMs || descriptors === null) return sample;
    if (resources?.descriptor === undefined) return sample;
    const counts = this.#read(Math.max(0, descriptors.open - resources.descriptor));
    const endedMs = this.#clock.nowMs();
    this.#nextMs = endedMs + (endedMs - startedMs) / MAX_SHARE;
    return { ...sample, resources: { ...resources, ...counts } };
  }

  #read(acceptedSockets: number): ResourceCounts {
    const counts = { file: 0, socket: 0, pipe: 0, other: 0 };
    for (const descriptor of this.#list()) {
      const target = this.#target(descriptor);
      if (target !== null) counts[classOf(target)] += 1;
    }
    if (!this.#isReadable) return {};
    return {
      descriptor_file: counts.file,
      descriptor_socket: Math.max(0, counts.socket - acceptedSockets),
      descriptor_pipe: counts.pipe,
      descriptor_other: counts.other,
    };
  }

  #list(): string[] {
    try {
      return readdirSync(this.#folder);
    } catch {
      this.#isReadable = false;
      return [];
    }
  }

  /** Null for a descriptor that was closed since the folder was listed. */
  #target(descriptor: string): string | null {
    try {
      return readlinkSync(`${this.#folder}/${descriptor}`);
    } catch {
      return null;
    }
  }
}

/** The kernel writes `socket:[1234]`, `pipe:[1234]`, `anon_inode:[eventpoll]`, or the path of a file. */
function classOf(target: string): 'file' | 'socket' | 'pipe' | 'other' {
  if (target.startsWith('socket:')) return 'socket';
  if (target.startsWith('pipe:')) return 'pipe';
  return target.startsWith('/') && !target.startsWith('/dev/') ? 'file' : 'other';
}
