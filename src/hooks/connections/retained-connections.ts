interface Entry {
  readonly ref: WeakRef<object>;
  readonly closedAtMs: number;
  /** Major collections seen when it closed. */
  readonly closedAtMajor: number;
  /** How many closed connections it stands for. */
  weight: number;
}

export interface RetainedReading {
  /** Closed and alive after two major collections; null before two were seen since the first close. */
  readonly retained: number | null;
  /** Closed and alive at the last major collection. */
  readonly uncollected: number;
}

const MAX_ENTRIES = 10_000;
/** A WeakRef dies within two major collections; incremental marking may carry an object over the first. */
const MAJORS = 2;

/**
 * Closed connections by WeakRef. A ring is judged only after a major collection, in slices: `deref` keeps its target alive
 * until the end of the job, so looking at each tick would itself retain.
 */
export class Retained {
  readonly #minAgeMs: number;
  #entries: Entry[] = [];
  #queue: Entry[] = [];
  #kept: Entry[] = [];
  #judging = false;
  #majors = 0;
  #judgedMajor = 0;
  #firstMajor: number | null = null;
  #stride = 1;
  #reading: RetainedReading = { retained: null, uncollected: 0 };
  #sums = { retained: 0, uncollected: 0 };

  /** Some healthy libraries hold a closed socket for 15 to 30 s by a timer. */
  constructor(minAgeMs: number) {
    this.#minAgeMs = minAgeMs;
  }

  note(holder: object, nowMs: number): void {
    this.#firstMajor ??= this.#majors;
    // Under churn between two collections a random part stands for all: a fixed step could fall in with the leak's own.
    if (this.#stride > 1 && Math.random() * this.#stride >= 1) return;
    if (this.#entries.length >= MAX_ENTRIES) this.#thin();
    this.#entries.push({
      ref: new WeakRef(holder),
      closedAtMs: nowMs,
      closedAtMajor: this.#majors,
      weight: this.#stride,
    });
  }

  /** Tells how many major collections there were so far; a new one starts a round of judging. */
  collected(majors: number): void {
    this.#majors = majors;
  }

  /** One slice of judging; true when there is nothing left to do. */
  judge(nowMs: number, most: number): boolean {
    if (!this.#judging) {
      if (this.#judgedMajor === this.#majors) return true;
      this.#judging = true;
      this.#judgedMajor = this.#majors;
      this.#queue = this.#entries;
      this.#entries = [];
      this.#kept = [];
      this.#sums = { retained: 0, uncollected: 0 };
    }
    for (let done = 0; done < most; done += 1) {
      const entry = this.#queue.pop();
      if (entry === undefined) return this.#finish();
      this.#judgeOne(entry, nowMs);
    }
    return false;
  }

  read(): RetainedReading {
    return this.#reading;
  }

  stop(): void {
    this.#entries = [];
    this.#queue = [];
    this.#kept = [];
  }

  #judgeOne(entry: Entry, nowMs: number): void {
    if (entry.ref.deref() === undefined) return;
    this.#kept.push(entry);
    if (entry.closedAtMajor >= this.#judgedMajor) return;
    this.#sums.uncollected += entry.weight;
    const old = nowMs - entry.closedAtMs >= this.#minAgeMs;
    if (old && this.#judgedMajor - entry.closedAtMajor >= MAJORS) this.#sums.retained += entry.weight;
  }

  #finish(): true {
    this.#judging = false;
    for (const entry of this.#kept) this.#entries.push(entry);
    this.#kept = [];
    if (this.#entries.length < MAX_ENTRIES / 4) this.#stride = 1;
    const sawTwo = this.#firstMajor !== null && this.#judgedMajor - this.#firstMajor >= MAJORS;
    this.#reading = {
      retained: sawTwo ? this.#sums.retained : null,
      uncollected: this.#sums.uncollected,
    };
    return true;
  }

  /** Half of them at random, each of the rest standing for twice as many. */
  #thin(): void {
    this.#entries = this.#entries.filter(() => Math.random() < 0.5);
    for (const entry of this.#entries) entry.weight *= 2;
    this.#stride *= 2;
  }
}
