// Simulated servers whose memory is drawn at random from a seed: what healthy servers load, cache and keep for a while, and
// leaks. V8 collects when garbage has filled its limit, so major GCs are rare where little is allocated.
import { randomOf, sampleOf, STEP_MIN, trafficOf } from './simulated-servers.mjs';

const MIB = 1024 ** 2;
const MINUTE_MS = 60_000;
const HOUR_MIN = 60;
const CAPACITIES_MB = [96, 256, 512, 2048, 4096];

/** Poisson events: calls `onEvent` for each event of a step. */
const eventsOf = (r, perMinute, onEvent) => {
  for (let events = r.poisson(perMinute * STEP_MIN); events > 0; events -= 1) onEvent();
};

/** MiB that a healthy server needs besides its connections. Each draws its parameters and is called once per step, in order. */
const HEALTHY = {
  /** Code is compiled, and modules are loaded, when a request first needs them. */
  compileWarmUp(r) {
    const [mb, timeConstant, parts] = [r.between(5, 60), r.between(8, 35), r.whole(30, 400)];
    let loaded = 0;
    return () => {
      eventsOf(r, (parts - loaded) / timeConstant, () => (loaded = Math.min(parts, loaded + 1)));
      return (mb * loaded) / parts;
    };
  },
  /** A cache with a limit of bytes. Values are small or large, and popular keys are in it early. */
  byteCache(r) {
    const [limitMb, keys, largest] = [r.between(20, 200), r.whole(100, 3000), r.between(1, 12)];
    // The mean value is a fifth of the largest one. Without popular keys it would be full after this time.
    const perMinute = limitMb / ((largest / 5) * r.between(5, 45));
    const sizes = new Map();
    let total = 0;
    return () => {
      eventsOf(r, perMinute, () => {
        const key = Math.floor(r.next() ** 3 * keys);
        if (sizes.has(key)) return;
        const size = largest * r.next() ** 4;
        sizes.set(key, size);
        total += size;
        for (const [oldest, oldSize] of sizes) {
          if (total <= limitMb) break;
          sizes.delete(oldest);
          total -= oldSize;
        }
      });
      return total;
    };
  },
  /** A nightly job loads tables within minutes, and drops them when it ends. */
  nightlyJob(r) {
    const [startMin, loadMin, lastsMin] = [r.between(60, 300), r.between(2, 15), r.between(20, 150)];
    const [mb, tables] = [r.between(15, 200), r.whole(1, 6)];
    return ({ minute }) => {
      if (minute < startMin || minute > startMin + loadMin + lastsMin) return 0;
      return (mb * Math.min(tables, Math.ceil((tables * (minute - startMin)) / loadMin))) / tables;
    };
  },
  /** A table that is read again and again, a little larger each time; the old one is garbage then. */
  reloadedTable(r) {
    const [everyMin, mb, growth] = [r.between(20, 90), r.between(10, 80), r.between(0, 0.01)];
    return ({ minute }) => mb * (1 + growth * Math.floor(minute / everyMin));
  },
  /** Lines of a log that are written once an hour. */
  logBuffer(r) {
    const [everyMin, mbPerHour] = [r.oneOf([15, 30, 60, 60]), r.between(5, 50)];
    return ({ minute }) => (mbPerHour * (minute % everyMin)) / HOUR_MIN;
  },
  /** Sessions stay for a while after their connection closed. */
  sessionStore(r, rows) {
    const [ttlSteps, mb] = [Math.round(r.between(5, 60) / STEP_MIN), r.between(0.01, 0.15)];
    return ({ opened, step }) => mb * (opened - (rows[step - ttlSteps]?.closed ?? 0));
  },
  /** The first connection of each tenant loads its data; some tenants are rare. */
  tenantCaches(r) {
    const [tenants, largest] = [r.whole(10, 300), r.between(0.5, 6)];
    const seen = new Set();
    let [last, total] = [0, 0];
    return ({ opened }) => {
      for (; last < opened; last += 1) {
        const tenant = Math.floor(r.next() ** 2 * tenants);
        if (seen.has(tenant)) continue;
        seen.add(tenant);
        total += largest * r.next() ** 2;
      }
      return total;
    };
  },
  /** A cache with a limit that fills at the pace of the load. */
  loadedCache(r, rows) {
    const [mb, timeConstant] = [r.between(10, 120), r.between(5, 60)];
    const mean = rows.reduce((sum, { connections }) => sum + connections, 0) / rows.length;
    let filled = 0;
    return ({ connections }) => {
      filled += ((STEP_MIN * connections) / (timeConstant * mean)) * (1 - filled);
      return mb * filled;
    };
  },
  /** Large results that die after minutes: old space jumps, and nothing stays. */
  largeGarbage(r) {
    const [perMinute, mb] = [r.between(0.02, 0.3), r.between(4, 30)];
    return () => {
      let garbageMb = 0;
      eventsOf(r, perMinute, () => (garbageMb += mb * r.next()));
      return { garbageMb };
    };
  },
};

/** Leaked MiB since `onset`, a minute. */
const LEAKS = {
  byTime(r) {
    const mbPerHour = r.between(5, 40);
    return ({ minute }, onset) => (mbPerHour * (minute - onset)) / HOUR_MIN;
  },
  /** Each run of a job leaves a table. */
  byBatch(r) {
    const [everyMin, mb] = [r.between(8, 60), r.between(4.5, 16)];
    return ({ minute }, onset) => mb * Math.floor((minute - onset) / everyMin);
  },
  byMessage(r) {
    const [perMinute, kb] = [r.between(1, 10), r.between(0.1, 1)];
    let messages = 0;
    return ({ connections }) => {
      messages += r.poisson(perMinute * STEP_MIN * connections);
      return (messages * kb) / 1024;
    };
  },
  byReconnect(r) {
    const kb = r.between(10, 150);
    let first;
    return ({ closed }) => {
      first ??= closed;
      return ((closed - first) * kb) / 1024;
    };
  },
  /** A Map doubles its table: small objects in a line, and a jump from time to time. */
  byLargeMap(r) {
    const [perMinute, bytes] = [r.between(500, 8000), r.between(60, 300)];
    return ({ minute }, onset) => {
      const entries = perMinute * (minute - onset);
      const table = 2 ** Math.ceil(Math.log2(Math.max(16, entries))) * 20;
      return (entries * bytes + table) / MIB;
    };
  },
};

/** One server with memory of this kind. A leaky one has the memory of a healthy one that has warmed up, and a leak. */
export function simulateMemory({ seed, minutes, memory, leak }) {
  const r = randomOf(seed);
  const profile = r.oneOf(['steady', 'steady', 'wave', 'wave', 'night', 'bursts', ...(leak ? [] : ['ramp'])]);
  const rows = trafficOf(r, minutes, profile).map((row, step) => ({ ...row, step }));
  const onset = leak === undefined ? null : r.oneOf([5, 5, 120]);
  const [perConnection, baseMb] = [r.between(0.005, 0.06), r.between(10, 60)];
  const allocated = r.between(0.02, 0.4);
  const [gcPerHour, factor] = [r.oneOf([0, 0, 2, 6]), r.between(1.1, 1.4)];
  const needOf = memory === undefined ? () => 0 : HEALTHY[memory](r, rows);
  const leakOf = leak === undefined ? () => 0 : LEAKS[leak](r);
  const needs = rows.map((row) => {
    const need = needOf(row);
    const { liveMb, garbageMb } =
      typeof need === 'number' ? { liveMb: need, garbageMb: 0 } : { liveMb: 0, ...need };
    const leakedMb = onset === null || row.minute < onset ? 0 : leakOf(row, onset);
    return { liveMb: baseMb + perConnection * row.connections + liveMb, garbageMb, leakedMb };
  });
  const highest = Math.max(...needs.map(({ liveMb }) => liveMb));
  const capacityMb = Math.max(r.oneOf(CAPACITIES_MB), Math.round(2 * highest));
  return {
    onset,
    capacityMb,
    samples: samplesOf(r, { rows, needs, capacityMb, allocated, gcPerHour, factor }),
    needs,
  };
}

/** The samples until the end, or until the heap is full. */
function samplesOf(r, { rows, needs, capacityMb, allocated, gcPerHour, factor }) {
  const samples = [];
  let [majors, garbage, collectedMb, collectedClosed, before] = [0, 0, needs[0].liveMb, 0, needs[0].liveMb];
  for (const [step, row] of rows.entries()) {
    const { liveMb, garbageMb, leakedMb } = needs[step];
    const live = liveMb + leakedMb;
    if (live > 0.95 * capacityMb) break;
    // Memory that is no longer needed stays until the next major GC.
    garbage += r.between(0, 2 * allocated * STEP_MIN) + garbageMb + Math.max(0, before - live);
    before = live;
    // V8 lets a heap grow by a share and by 8 MiB, and at most halfway to the capacity (MemoryController in its source).
    const limitMb = Math.min(Math.max(factor * collectedMb, collectedMb + 8), (collectedMb + capacityMb) / 2);
    const isGc = live + garbage > limitMb || r.next() < (gcPerHour * STEP_MIN) / HOUR_MIN;
    if (isGc) [majors, garbage, collectedMb] = [majors + 1, 0, live];
    const uncollected = row.closed - collectedClosed;
    if (isGc) collectedClosed = row.closed;
    const noiseMb = Math.abs(0.2 * r.normal()) + 0.01 * live * r.next();
    const floor = isGc ? { atMs: row.minute * MINUTE_MS, bytes: (live + noiseMb) * MIB } : null;
    const none = { registries: [], queues: [], rooms: [], emitters: [] };
    samples.push(
      sampleOf({ row, step, live, garbage, majors, floor, uncollected, unanswering: 0, capacityMb }, none),
    );
  }
  return samples;
}

export const HEALTHY_MEMORY = Object.keys(HEALTHY);
export const MEMORY_LEAKS = Object.keys(LEAKS);
