/** Counts closed connections that the garbage collector cannot free, by weak references to their objects. */

interface Entry {
  readonly ref: WeakRef<object>;
  readonly closedAtMs: number;
  /**
   * Number of major GCs at the first reading after the close: which of those between two readings ran before the close is not
   * known. Infinity until then.
   */
  closedAtMajorGc: number;
  /** Name that the application gave the connection (`watchConnection`). */
  readonly id: string | null;
  /** Number of closed connections that this entry stands for. */
  weight: number;
}

export interface RetainedReading {
  /** Closed and still alive after two major GCs; null before two major GCs since the first close. */
  readonly retained: number | null;
  /** Closed and still alive at the last major GC. */
  readonly uncollected: number;
}

/** 74 bytes and 0.5 us each, measured. */
const MAX_ENTRIES = 10_000;
/** A WeakRef is cleared within two major GCs: incremental marking can carry an object over the first one. */
const MIN_MAJOR_GCS = 2;
export const MAX_EXAMPLE_IDS = 3;

/**
 * `deref` keeps its target alive until the end of the job, so checking every second would itself retain the objects. The
 * entries are checked only after a new major GC, in slices.
 */
export class RetainedConnections {
  readonly #minAgeMs: number;
  /** Those since the last `setMajorGcs` are at the end. */
  #entries: Entry[] = [];
  #unchecked: Entry[] = [];
  #alive: Entry[] = [];
  #isChecking = false;
  #majorGcs = 0;
  #checkedMajorGc = 0;
  /** Number of major GCs before the first close. */
  #majorGcAtFirstClose: number | null = null;
  /** One of so many closed connections is kept as an entry. */
  #stride = 1;
  #sums = { retained: 0, uncollected: 0 };
  #ids: string[] = [];
  #reading: RetainedReading = { retained: null, uncollected: 0 };
  #retainedIds: readonly string[] = [];

  /** `minAgeMs`: some healthy libraries keep a closed socket for 15 to 30 s by a timer. */
  constructor(minAgeMs: number) {
    this.#minAgeMs = minAgeMs;
  }

  /** Ids of up to three retained connections, as of the last check. */
  get retainedIds(): readonly string[] {
    return this.#retainedIds;
  }

  addClosed(appObject: object, nowMs: number, id: string | null = null): void {
    this.#majorGcAtFirstClose ??= this.#majorGcs;
    // With more closes than entries a random sample stands for all. A fixed step could coincide with the leak's pattern.
    if (this.#stride > 1 && Math.random() * this.#stride >= 1) return;
    if (this.#entries.length >= MAX_ENTRIES) this.#thinOut();
    this.#entries.push({
      ref: new WeakRef(appObject),
      closedAtMs: nowMs,
      closedAtMajorGc: Number.POSITIVE_INFINITY,
      id,
      weight: this.#stride,
    });
  }

  /** `count`: major GCs of this process so far. A new one starts a check. */
  setMajorGcs(count: number): void {
    this.#majorGcs = count;
    for (let index = this.#entries.length - 1; index >= 0; index -= 1) {
      const entry = this.#entries[index]!;
      if (entry.closedAtMajorGc !== Number.POSITIVE_INFINITY) return;
      entry.closedAtMajorGc = count;
    }
  }

  /** Checks up to `maxEntries` entries; true when nothing is left to check. */
  checkSlice(nowMs: number, maxEntries: number): boolean {
    if (!this.#isChecking) {
      if (this.#checkedMajorGc === this.#majorGcs) return true;
      this.#startCheck();
    }
    for (let count = 0; count < maxEntries; count += 1) {
      const entry = this.#unchecked.pop();
      if (entry === undefined) {
        this.#finishCheck();
        return true;
      }
      this.#check(entry, nowMs);
    }
    return false;
  }

  read(): RetainedReading {
    return this.#reading;
  }

  stop(): void {
    this.#entries = [];
    this.#unchecked = [];
    this.#alive = [];
  }

  #startCheck(): void {
    this.#isChecking = true;
    this.#checkedMajorGc = this.#majorGcs;
    this.#unchecked = this.#entries;
    this.#entries = [];
    this.#alive = [];
    this.#sums = { retained: 0, uncollected: 0 };
    this.#ids = [];
  }

  #check(entry: Entry, nowMs: number): void {
    if (entry.ref.deref() === undefined) return;
    this.#alive.push(entry);
    if (entry.closedAtMajorGc >= this.#checkedMajorGc) return;
    this.#sums.uncollected += entry.weight;
    const isOld = nowMs - entry.closedAtMs >= this.#minAgeMs;
    if (!isOld || this.#checkedMajorGc - entry.closedAtMajorGc < MIN_MAJOR_GCS) return;
    this.#sums.retained += entry.weight;
    if (entry.id !== null && this.#ids.length < MAX_EXAMPLE_IDS) this.#ids.push(entry.id);
  }

  #finishCheck(): void {
    this.#isChecking = false;
    this.#entries = this.#alive.concat(this.#entries);
    this.#alive = [];
    if (this.#entries.length < MAX_ENTRIES / 4) this.#stride = 1;
    const first = this.#majorGcAtFirstClose;
    const sawTwoGcs = first !== null && this.#checkedMajorGc - first >= MIN_MAJOR_GCS;
    const { retained, uncollected } = this.#sums;
    this.#reading = { retained: sawTwoGcs ? retained : null, uncollected };
    this.#retainedIds = this.#ids;
  }

  /** Drops a random half. Each of the others then stands for twice as many connections. */
  #thinOut(): void {
    this.#entries = this.#entries.filter(() => Math.random() < 0.5);
    for (const entry of this.#entries) entry.weight *= 2;
    this.#stride *= 2;
  }
}
