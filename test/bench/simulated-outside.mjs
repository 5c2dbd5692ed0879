// Simulated servers whose memory outside the V8 heap is drawn at random from a seed: Buffers of uploads and of caches, and
// what malloc and native code keep, of healthy servers, and leaks.
import { randomOf, sampleOf, STEP_MIN, trafficOf } from './simulated-servers.mjs';

const MIB = 1024 ** 2;
const MINUTE_MS = 60_000;
const HOUR_MIN = 60;

/** MiB of Buffers (`external`) and of other native memory (`native`) besides those of the connections. */
const HEALTHY = {
  /** Each upload is in memory until it is stored. */
  uploads(r) {
    const [perConnectionHour, mb, lastsSteps] = [r.between(0.05, 2), r.between(1, 30), r.whole(1, 12)];
    const ends = new Map();
    let live = 0;
    return ({ connections, step }) => {
      live -= ends.get(step) ?? 0;
      for (let n = r.poisson((perConnectionHour * connections * STEP_MIN) / HOUR_MIN); n > 0; n -= 1) {
        const size = mb * r.next();
        live += size;
        const at = step + 1 + Math.floor(lastsSteps * r.next());
        ends.set(at, (ends.get(at) ?? 0) + size);
      }
      return { external: live, native: 0 };
    };
  },
  /** A cache of files with a limit of bytes; some files are popular. */
  fileCache(r) {
    const [limitMb, files, mb] = [r.oneOf([32, 64, 128, 256, 512]), r.whole(50, 5000), r.between(0.05, 2)];
    const perMinute = limitMb / (mb * r.between(5, 300));
    const sizes = new Map();
    let total = 0;
    return ({ connections }) => {
      if (connections === 0) return { external: total, native: 0 };
      for (let n = r.poisson(perMinute * STEP_MIN); n > 0; n -= 1) {
        const file = Math.floor(r.next() ** 2 * files);
        if (sizes.has(file)) continue;
        const size = 2 * mb * r.next();
        sizes.set(file, size);
        total += size;
        for (const [oldest, oldSize] of sizes) {
          if (total <= limitMb) break;
          sizes.delete(oldest);
          total -= oldSize;
        }
      }
      return { external: total, native: 0 };
    };
  },
  /** A cache that fills at the pace of the load until its limit. */
  linearCache(r) {
    const [limitMb, fillMin] = [r.between(20, 400), r.between(20, 120)];
    let filled = 0;
    return ({ connections }) => {
      if (connections > 0)
        filled = Math.min(limitMb, filled + (limitMb * STEP_MIN * r.between(0.5, 1.5)) / fillMin);
      return { external: filled, native: 0 };
    };
  },
  /** malloc keeps more and more free pieces between live ones, less each hour. */
  fragmentation(r) {
    const [mb, timeConstant] = [r.between(15, 250), r.between(15, 180)];
    return ({ minute }) => ({ external: 0, native: mb * (1 - Math.exp(-minute / timeConstant)) });
  },
  /** The same without an end: a quarter more each time that the age of the process doubles. */
  logarithmic(r) {
    const [mb, afterMin] = [r.between(5, 40), r.between(2, 20)];
    return ({ minute }) => ({ external: 0, native: mb * Math.log2(1 + minute / afterMin) });
  },
  /** Compression contexts of connections: malloc keeps the memory of closed ones for the next. */
  deflate(r) {
    const kb = r.between(30, 300);
    let highest = 0;
    return ({ connections }) => {
      highest = Math.max(highest, connections);
      return { external: (connections * kb) / 10_240, native: (highest * kb) / 1024 };
    };
  },
  /** Each burst adds an arena of malloc, up to eight times the number of cores. */
  arenas(r) {
    const [everyMin, mb, most] = [r.between(15, 90), r.between(3, 40), r.oneOf([8, 16, 32])];
    let arenas = 0;
    return () => {
      if (arenas < most && r.next() < STEP_MIN / (everyMin * (1 + arenas / 4))) arenas += 1;
      return { external: 0, native: arenas * mb };
    };
  },
  /** Messages that wait for slow clients, more of them under load. */
  waiting(r) {
    const mb = r.between(0.05, 1);
    return ({ connections }) => ({ external: (connections * mb * r.between(0.5, 1.5)) / 10, native: 0 });
  },
  /** Buffers that nobody needs stay until the next major GC. */
  unfreed(r) {
    const perMinute = r.between(0.05, 2);
    let unfreed = 0;
    return ({ isGc }) => {
      unfreed = isGc ? 0 : unfreed + perMinute * STEP_MIN * r.between(0, 2);
      return { external: unfreed, native: 0 };
    };
  },
  /** Rooms with a document each, loaded at first use and dropped an hour after the last use. */
  documents(r) {
    const [documents, mb, keepSteps] = [
      r.whole(20, 600),
      r.between(0.1, 2),
      Math.round(r.between(20, 120) / STEP_MIN),
    ];
    const lastUse = new Map();
    let [last, total] = [0, 0];
    return ({ opened, step }) => {
      for (; last < opened; last += 1) {
        const document = Math.floor(r.next() ** 1.5 * documents);
        if (!lastUse.has(document)) total += mb;
        lastUse.set(document, step);
      }
      for (const [document, usedStep] of lastUse) {
        if (step - usedStep <= keepSteps) continue;
        lastUse.delete(document);
        total -= mb;
      }
      return { external: total, native: 0 };
    };
  },
};

/** Leaked MiB since `onset`, a minute. */
const LEAKS = {
  buffersByClosed(r) {
    const kb = r.between(10, 200);
    let first;
    return ({ closed }) => {
      first ??= closed;
      return { external: ((closed - first) * kb) / 1024, native: 0 };
    };
  },
  buffersByMessage(r) {
    const [perMinute, kb] = [r.between(1, 10), r.between(0.5, 4)];
    let messages = 0;
    return ({ connections }) => {
      messages += r.poisson(perMinute * STEP_MIN * connections);
      return { external: (messages * kb) / 1024, native: 0 };
    };
  },
  buffersByTime(r) {
    const mbPerHour = r.between(20, 200);
    return ({ minute }, onset) => ({ external: (mbPerHour * (minute - onset)) / HOUR_MIN, native: 0 });
  },
  nativeByClosed(r) {
    const kb = r.between(30, 300);
    let first;
    return ({ closed }) => {
      first ??= closed;
      return { external: 0, native: ((closed - first) * kb) / 1024 };
    };
  },
  nativeByTime(r) {
    const mbPerHour = r.between(30, 200);
    return ({ minute }, onset) => ({ external: 0, native: (mbPerHour * (minute - onset)) / HOUR_MIN });
  },
};

const NOTHING = { external: 0, native: 0 };
const NO_COUNTS = { registries: [], queues: [], rooms: [], emitters: [] };

/** One server with memory of this kind outside the heap. A leaky one has traffic of any kind but a ramp. */
export function simulateOutside({ seed, minutes, memory, leak }) {
  const r = randomOf(seed);
  const profile = r.oneOf(['steady', 'steady', 'wave', 'wave', 'night', 'bursts', ...(leak ? [] : ['ramp'])]);
  const rows = trafficOf(r, minutes, profile).map((row, step) => ({ ...row, step }));
  const onset = leak === undefined ? null : r.oneOf([5, 5, 120]);
  const gcPerHour = r.oneOf([0.5, 2, 6, 12]);
  const needOf = memory === undefined ? () => NOTHING : HEALTHY[memory](r);
  const leakOf = leak === undefined ? () => NOTHING : LEAKS[leak](r);
  const pools = poolsOf(r, rows, gcPerHour, (row) => {
    const need = needOf(row);
    const leaked = onset === null || row.minute < onset ? NOTHING : leakOf(row, onset);
    return { external: need.external + leaked.external, native: need.native + leaked.native };
  });
  // A healthy server has room for what it needs.
  const highest = Math.max(...pools.map(({ rssMb }) => rssMb));
  const smallest = leak === undefined ? 1.6 * highest : 512;
  const containerMb = r.oneOf([null, null, ...[512, 1024, 2048, 4096].filter((mb) => mb >= smallest)]);
  const end = containerMb === null ? -1 : pools.findIndex(({ rssMb }) => rssMb > containerMb);
  return {
    onset,
    samples: (end < 0 ? pools : pools.slice(0, end)).map((pool) => withPools(pool, containerMb)),
  };
}

/** The pools of memory in each step. A Buffer that is dropped stays until the next major GC. */
function poolsOf(r, rows, gcPerHour, needOf) {
  const [baseMb, perConnection] = [r.between(20, 150), r.between(0.005, 0.05)];
  let [majors, garbage, dropped, before, collectedClosed] = [0, 0, 0, 0, 0];
  return rows.map((row, step) => {
    // V8 collects when Buffers that nobody needs have grown, whatever the heap.
    const isGc = step > 0 && (r.next() < (gcPerHour * STEP_MIN) / HOUR_MIN || dropped > 64);
    const { external, native } = needOf({ ...row, isGc });
    dropped = isGc ? 0 : dropped + Math.max(0, before - external);
    before = external;
    garbage = isGc ? 0 : garbage + r.between(0, 0.5) * STEP_MIN;
    if (isGc) [majors, collectedClosed] = [majors + 1, row.closed];
    const live = baseMb + perConnection * row.connections;
    const externalMb = 3 + external + dropped + Math.abs(0.2 * r.normal());
    const rssMb = live + garbage + 60 + externalMb + native + Math.abs(2 * r.normal());
    const floorMb = isGc ? live + Math.abs(0.3 * r.normal()) : null;
    return {
      row,
      step,
      live,
      garbage,
      majors,
      floorMb,
      uncollected: row.closed - collectedClosed,
      externalMb,
      rssMb,
    };
  });
}

function withPools({ row, floorMb, externalMb, rssMb, ...pool }, containerMb) {
  const floor = floorMb === null ? null : { atMs: row.minute * MINUTE_MS, bytes: floorMb * MIB };
  const sample = sampleOf({ ...pool, row, floor, unanswering: 0, capacityMb: 2048 }, NO_COUNTS);
  const [externalBytes, rssBytes] = [externalMb * MIB, rssMb * MIB];
  const container =
    containerMb === null
      ? {}
      : { containerBytes: containerMb * MIB, containerUsedBytes: rssBytes, containerOomKills: 0 };
  return {
    ...sample,
    memory: { ...sample.memory, externalBytes, arrayBuffersBytes: externalBytes, rssBytes },
    limits: { ...sample.limits, ...container },
  };
}

export const HEALTHY_OUTSIDE = Object.keys(HEALTHY);
export const OUTSIDE_LEAKS = Object.keys(LEAKS);
