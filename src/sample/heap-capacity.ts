const MIB = 1024 * 1024;

/** What `heap_size_limit` was made of: the flags given, NODE_OPTIONS first, since the command line wins. */
export interface HeapFlags {
  readonly execArgv: readonly string[];
  readonly nodeOptions: string;
  /** process.versions.v8 */
  readonly v8: string;
}

/**
 * What old space may really grow to. `heap_size_limit` is max-old-space-size plus three semi-spaces, and a process dies
 * with old space at 0.93-0.98 of the former.
 */
export function heapCapacityBytes(heapLimitBytes: number, flags: HeapFlags): number {
  const oldBytes = megabytes('max-old-space-size', flags);
  if (oldBytes !== null && oldBytes <= heapLimitBytes) return oldBytes;
  const semiSpaceBytes =
    megabytes('max-semi-space-size', flags) ?? defaultSemiSpace(heapLimitBytes, flags.v8);
  const capacity = heapLimitBytes - 3 * semiSpaceBytes;
  return capacity > 0 ? capacity : heapLimitBytes;
}

/** V8 takes dashes and underscores alike; of several the last is in force. */
function megabytes(flag: string, { execArgv, nodeOptions }: HeapFlags): number | null {
  const pattern = new RegExp(`^--${flag.replaceAll('-', '[-_]')}=(\\d+)$`);
  const given = [...nodeOptions.split(/\s+/), ...execArgv].map((word) => pattern.exec(word)?.[1]);
  const last = given.filter((value) => value !== undefined).at(-1);
  // V8 reads 0 as "not set".
  return last === undefined || Number(last) === 0 ? null : Number(last) * MIB;
}

/**
 * Measured: at most 16 MiB on Node 20 and 22, 64 on 24, 32 on 26, and where memory is short old space / 128, / 32, / 64:
 * the largest power of two that fits what V8 made of it.
 */
function defaultSemiSpace(heapLimitBytes: number, v8: string): number {
  const major = Number.parseInt(v8, 10);
  const { mostMib, ratio } = major >= 14 ? V8_14 : major === 13 ? V8_13 : BEFORE;
  let bytes = mostMib * MIB;
  while (bytes > MIB && heapLimitBytes - 3 * bytes < ratio * bytes) bytes /= 2;
  return bytes;
}

const BEFORE = { mostMib: 16, ratio: 128 };
const V8_13 = { mostMib: 64, ratio: 32 };
const V8_14 = { mostMib: 32, ratio: 64 };
