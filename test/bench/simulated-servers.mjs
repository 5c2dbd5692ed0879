// Simulated servers with traffic and counts that are drawn at random from a seed. Each is a function from the time to a
// sample. A healthy server and its leaky twin differ only in the share of the closed connections that leave something.

import { ENTRIES } from './simulated-entries.mjs';

const MINUTE_MS = 60_000;
export const STEP_MIN = 0.25;
const MIB = 1024 ** 2;

/** Pseudo-random numbers (mulberry32): the same seed gives the same server. */
export function randomOf(seed) {
  let state = (seed * 2_654_435_761) | 0;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const between = (low, high) => low + next() * (high - low);
  return {
    next,
    between,
    whole: (low, high) => Math.round(between(low, high)),
    oneOf: (values) => values[Math.floor(next() * values.length)],
    exponential: (mean) => -mean * Math.log(1 - next()),
    normal: () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
    poisson(mean) {
      if (mean > 50) return Math.max(0, Math.round(mean + Math.sqrt(mean) * this.normal()));
      let events = 0;
      for (let left = next(); left > Math.exp(-mean); left *= next()) events += 1;
      return events;
    },
  };
}

/** The number of connections that the load aims at, by minute. */
const PROFILES = {
  steady: (r) => {
    const n = r.whole(20, 800);
    return () => n;
  },
  ramp: (r, minutes) => {
    const [from, to] = [r.whole(10, 60), r.whole(200, 2000)];
    return (minute) => from + ((to - from) * minute) / minutes;
  },
  wave: (r) => {
    const [n, share, period] = [r.whole(60, 600), r.between(0.2, 0.9), r.between(40, 600)];
    return (minute) => n * (1 + share * Math.sin((2 * Math.PI * minute) / period));
  },
  night: (r, minutes) => {
    const [n, low, from] = [r.whole(100, 800), r.whole(2, 30), minutes * r.between(0.3, 0.5)];
    return (minute) => (minute > from && minute < from + 0.3 * minutes ? low : n);
  },
  bursts: (r) => {
    const [n, peak, every] = [r.whole(20, 100), r.whole(150, 600), r.whole(12, 60)];
    return (minute) => (minute % every < every / 3 ? peak : n);
  },
  stairs: (r) => {
    const [step, every] = [r.whole(5, 60), r.whole(10, 60)];
    return (minute) => 40 + step * Math.floor(minute / every);
  },
};

/** Opens and closes, one entry per step. `closesAt` has the steps in which connections closed, with their number. */
export function trafficOf(r, minutes, profile) {
  const target = PROFILES[profile](r, minutes);
  const meanLife = r.oneOf([r.between(1, 5), r.between(5, 30), r.between(30, 120)]);
  const staying = r.oneOf([0, 0, 0.3]);
  const stormEvery = r.oneOf([0, 0, 0, r.between(20, 90)]);
  const steps = Math.ceil(minutes / STEP_MIN) + 1;
  const closing = new Map();
  let [opened, closed, stay] = [0, 0, 0];
  const rows = [];
  for (let step = 0; step < steps; step += 1) {
    const minute = step * STEP_MIN;
    let closes = closing.get(step) ?? 0;
    const open = opened - closed;
    if (stormEvery > 0 && minute > 0 && minute % stormEvery < STEP_MIN) closes = Math.round(0.7 * open);
    const excess = Math.max(0, open - closes - target(minute) * 1.1);
    closes = Math.min(open, closes + Math.ceil(excess / 4));
    closed += closes;
    const missing = target(minute) - (opened - closed);
    // New connections arrive by chance; after a storm clients come back within a minute or two.
    const opens = missing > 0 ? r.poisson(Math.min(missing, missing / 3 + 1)) : r.poisson(0.2);
    for (let i = 0; i < opens; i += 1) {
      if (r.next() < staying) {
        stay += 1;
        continue;
      }
      const at = step + Math.max(1, Math.round(r.exponential(meanLife) / STEP_MIN));
      closing.set(at, (closing.get(at) ?? 0) + 1);
    }
    opened += opens;
    rows.push({ minute, opened, closed, connections: opened - closed, closes, stay });
  }
  return rows;
}

/** The total of an earlier step; 0 before the start. */
const earlier = (rows, step, minutes, field) => rows[step - Math.round(minutes / STEP_MIN)]?.[field] ?? 0;

const listeners = (emitter, event, count) => ({
  emitter,
  event,
  listeners: count,
  eventNames: null,
  source: 'found',
});

/**
 * Counts that a server can have. Each draws its parameters and returns a function from the step to fields of a sample.
 * `leak` is the share of the closed connections that leave something, 0 for a healthy one.
 */
const COUNTS = {
  sessions(r, rows, leak) {
    const ttl = r.between(5, 60);
    const sweep = r.oneOf([0, 1, 5, 10]);
    const more = r.oneOf([
      { source: 'app' },
      { source: 'app' },
      { source: 'found', areConnections: false },
      { source: 'found', areConnections: false, isBounded: true },
    ]);
    return ({ minute, opened }) => {
      const lastSweep = sweep === 0 ? minute : Math.floor(minute / sweep) * sweep;
      const expired = earlier(rows, Math.round(lastSweep / STEP_MIN), ttl, 'closed');
      return {
        registries: [{ name: 'sessions', entries: opened - Math.round(expired * (1 - leak)), ...more }],
      };
    };
  },
  registry: (r, rows, leak) => {
    const source = r.oneOf(['app', 'found']);
    return ({ opened, closed }) => ({
      registries: [{ name: 'clients', entries: opened - Math.round(closed * (1 - leak)), source }],
    });
  },
  listeners(r, rows, leak) {
    const events = r.whole(1, 10);
    return ({ connections, closed }) => ({
      emitters: [
        listeners('bus', '*', events * connections + Math.round(closed * leak)),
        ...Array.from({ length: events }, (_, i) =>
          listeners('bus', `topic ${i}`, connections + (i === 0 ? Math.round(closed * leak) : 0)),
        ),
      ],
    });
  },
  rooms(r, rows, leak) {
    const perRoom = r.whole(1, 20);
    return ({ connections, closed }) => ({
      rooms: [
        {
          name: 'rooms',
          rooms: Math.ceil(connections / perRoom) + Math.round(closed * leak),
          members: connections,
          source: 'found',
        },
      ],
    });
  },
  pool(r, rows, leak) {
    const [perSocket, max] = [r.whole(2, 20), r.whole(10, 400)];
    let sockets = 0;
    return ({ connections, closed }) => {
      sockets = Math.max(sockets, Math.min(max, Math.ceil(connections / perSocket)));
      const open = sockets + Math.round(closed * leak);
      return { resources: { outgoing_socket: open, descriptor: 20 + open, timer: 12 } };
    };
  },
  users(r) {
    const users = r.whole(50, 3000);
    const seen = new Set();
    let last = 0;
    return ({ opened }) => {
      for (; last < opened; last += 1) seen.add(Math.floor(r.next() ** 2 * users));
      return { registries: [{ name: 'users', entries: seen.size, source: 'found', areConnections: false }] };
    };
  },
  rateLimit(r) {
    const period = r.whole(5, 60);
    let [from, begun] = [0, 0];
    return ({ minute, opened }) => {
      if (minute >= from + period) [from, begun] = [minute, opened];
      return {
        registries: [{ name: 'hits', entries: opened - begun, source: 'found', areConnections: false }],
      };
    };
  },
  history(r) {
    const [perMinute, max] = [r.between(5, 100), r.whole(500, 5000)];
    return ({ minute }) => ({
      queues: [
        {
          name: 'history',
          items: Math.min(max, Math.round(perMinute * minute)),
          oldestAgeMs: null,
          isTaken: false,
          source: 'found',
        },
      ],
    });
  },
  flush(r) {
    const [perMinute, every] = [r.between(20, 300), r.whole(3, 20)];
    return ({ minute }) => ({
      queues: [
        {
          name: 'batch',
          items: Math.round(perMinute * (minute % every)),
          oldestAgeMs: null,
          source: 'found',
        },
      ],
    });
  },
  /** The last closed sessions stay, up to a limit, with a list of them. */
  kept(r) {
    const max = r.whole(30, 800);
    return ({ connections, closed }) => {
      const items = Math.min(closed, max);
      return {
        registries: [{ name: 'recent', entries: connections + items, source: 'found' }],
        queues: [
          {
            name: 'order',
            items,
            oldestAgeMs: null,
            source: 'found',
            ...(closed > max ? {} : { isTaken: false }),
          },
        ],
      };
    };
  },
  /** Threads follow the load of the last minutes: an idle one ends late. */
  threads(r, rows) {
    const [perThread, idleMinutes] = [r.whole(5, 40), r.whole(5, 60)];
    return ({ step }) => {
      const from = Math.max(0, step - Math.round(idleMinutes / STEP_MIN));
      const peak = Math.max(...rows.slice(from, step + 1).map(({ connections }) => connections));
      const thread = Math.ceil(peak / perThread);
      return { resources: { thread, message_port: 2 * thread } };
    };
  },
  /** A room for each topic that somebody has subscribed to; some topics are rare. */
  topics(r) {
    const [topics, forMembers] = [r.whole(20, 400), r.whole(1, 3)];
    const seen = new Set();
    let last = 0;
    return ({ opened, connections }) => {
      for (; last < opened; last += 1) seen.add(Math.floor(r.next() ** 2 * topics));
      return {
        rooms: [{ name: 'topics', rooms: seen.size, members: forMembers * connections, source: 'found' }],
      };
    };
  },
  timers(r, rows, leak) {
    const [base, perConnection] = [r.whole(3, 15), r.whole(0, 2)];
    return ({ connections, closed }) => ({
      resources: {
        timer: base + perConnection * connections + Math.round(closed * leak),
        timeout: r.whole(0, 3),
      },
    });
  },
  profiles: (r, rows, leak) => {
    const perConnection = r.whole(1, 3);
    return ({ connections, closed }) => ({
      registries: [
        {
          name: 'profiles',
          entries: perConnection * connections + Math.round(closed * leak),
          source: 'found',
          areConnections: false,
        },
      ],
    });
  },
  /** Sockets to another service: some requests are in flight when they are counted, and not every sample counts them. */
  upstream(r, rows, leak) {
    const [inFlight, counted] = [r.between(0, 0.3), r.between(0.5, 1)];
    return ({ connections, closed }) =>
      r.next() > counted
        ? {}
        : {
            resources: {
              outgoing_socket: connections + r.poisson(inFlight * connections) + Math.round(closed * leak),
            },
          };
  },
};

/** Counts that were added later. No other server has them beside its own, so that the same seed still gives the same server. */
const MORE_COUNTS = {
  /** A clean close removes the session at once; after another one it stays, so that the client can come back. */
  mixedSessions(r, rows, leak) {
    const [cleanShare, ttl] = [r.between(0.3, 0.9), r.between(5, 60)];
    const source = r.oneOf([{ source: 'app' }, { source: 'found', areConnections: false }]);
    let [last, staying] = [0, 0];
    const stayingAt = [];
    return ({ step, closed, opened }) => {
      for (; last < closed; last += 1) if (r.next() > cleanShare * (1 - leak)) staying += 1;
      stayingAt[step] = staying;
      const expired = stayingAt[step - Math.round(ttl / STEP_MIN)] ?? 0;
      const entries = opened - closed + staying - Math.round(expired * (1 - leak));
      return { registries: [{ name: 'sessions', entries, ...source }] };
    };
  },
  /** Each connection joins topics; a topic's room ends with its last member. A leaky server forgets some members. */
  sharedRooms(r, rows, leak) {
    const topics = r.whole(10, 1500);
    const members = new Map();
    const joined = [];
    let [lastOpened, lastClosed] = [0, 0];
    return ({ opened, closed, connections }) => {
      for (; lastOpened < opened; lastOpened += 1) {
        const topic = Math.floor(r.next() ** 2 * topics);
        joined.push(topic);
        members.set(topic, (members.get(topic) ?? 0) + 1);
      }
      for (; lastClosed < closed; lastClosed += 1) {
        const [topic] = joined.splice(Math.floor(r.next() * joined.length), 1);
        if (r.next() < leak) continue;
        const left = (members.get(topic) ?? 0) - 1;
        if (left > 0) members.set(topic, left);
        else members.delete(topic);
      }
      return { rooms: [{ name: 'shared', rooms: members.size, members: connections, source: 'found' }] };
    };
  },
  /** Jobs that messages start, and that end some minutes later. A leaky server never ends some of them. */
  jobs(r, rows, leak) {
    const [perMinute, minutes] = [r.between(0.02, 0.5), r.whole(1, 15)];
    const started = [];
    let total = 0;
    return ({ step, connections }) => {
      total += r.poisson(perMinute * STEP_MIN * connections);
      started[step] = total;
      const ended = started[step - Math.round(minutes / STEP_MIN)] ?? 0;
      const entries = total - Math.round(ended * (1 - leak));
      return { registries: [{ name: 'jobs', entries, source: 'found', areConnections: false }] };
    };
  },
};
const ALL_COUNTS = { ...COUNTS, ...MORE_COUNTS, ...ENTRIES };

/** Memory that is needed besides the connections, in MiB by minute. */
const MEMORY = {
  flat: () => () => 0,
  lru(r) {
    const [mb, fill] = [r.between(5, 80), r.between(10, 45)];
    return (minute) => mb * Math.min(1, minute / fill);
  },
  saturating(r) {
    const [mb, tau] = [r.between(5, 80), r.between(10, 60)];
    return (minute) => mb * (1 - Math.exp(-minute / tau));
  },
  steps(r) {
    const at = Array.from({ length: r.whole(1, 5) }, () => r.between(5, 150));
    const mb = r.between(4, 30);
    return (minute) => mb * at.filter((start) => minute >= start).length;
  },
  wave(r) {
    const [mb, period] = [r.between(3, 20), r.between(40, 400)];
    return (minute) => mb * (1 + Math.sin((2 * Math.PI * minute) / period));
  },
};

/** One server: its traffic, three counts and its memory. `leak` > 0 makes the first count leak. */
export function simulate({ seed, minutes, profile, count, leak = 0 }) {
  const r = randomOf(seed);
  const rows = trafficOf(r, minutes, profile ?? r.oneOf(Object.keys(PROFILES)));
  const others = Object.keys(COUNTS).filter((name) => name !== count);
  const counts = [count, r.oneOf(others), r.oneOf(others)].map((name, i) =>
    ALL_COUNTS[name](r, rows, i === 0 ? leak : 0),
  );
  const memory = MEMORY[r.oneOf(Object.keys(MEMORY))](r);
  const [perConnection, leakedMb, gcPerHour] = [
    r.between(0.005, 0.06),
    r.between(0.002, 0.05),
    r.between(0, 6),
  ];
  const needs = rows.map(({ minute, connections }) => 25 + perConnection * connections + memory(minute));
  // Operators give a server at least twice the heap that it needs.
  const capacityMb = Math.round(Math.max(r.oneOf([96, 256, 2048]), 2 * Math.max(...needs)));
  let [majors, garbage, collectedClosed, collectedMb] = [0, 0, 0, 0];
  return rows.map((row, step) => {
    const { minute, closed, connections } = row;
    const live = (needs[step] ?? 0) + leakedMb * leak * closed;
    garbage += r.between(0, 0.15);
    // V8 collects at the latest halfway from the last post-GC heap to the capacity (MemoryController in its source).
    const isFull = live + garbage > (collectedMb + capacityMb) / 2;
    const isGc = r.next() < (gcPerHour * STEP_MIN) / 60 || isFull;
    if (isGc) [majors, garbage, collectedMb] = [majors + 1, 0, live];
    const uncollected = closed - collectedClosed;
    if (isGc) collectedClosed = closed;
    const floor = isGc
      ? { atMs: minute * MINUTE_MS, bytes: (live + 0.3 * Math.abs(r.normal())) * MIB }
      : null;
    const noise = Math.max(0, Math.round(0.02 * connections * r.next()));
    return sampleOf(
      { row, step, live, garbage, majors, floor, uncollected, unanswering: noise, capacityMb },
      merge(counts.map((at) => at({ ...row, step }))),
    );
  });
}

/** Two counts can both have registries. */
function merge(parts) {
  const all = { registries: [], queues: [], rooms: [], emitters: [] };
  for (const part of parts)
    for (const [field, value] of Object.entries(part))
      all[field] = Array.isArray(value) ? [...(all[field] ?? []), ...value] : { ...all[field], ...value };
  return all;
}

const websockets = (count) => ({ websocket: count, sse: 0, polling: 0, upgraded: 0 });

export function sampleOf(
  { row, step, live, garbage, majors, floor, uncollected, unanswering, capacityMb },
  more,
) {
  const atMs = row.minute * MINUTE_MS;
  const oldMb = live + garbage;
  return {
    seq: step,
    atMs,
    wallMs: atMs,
    uptimeMs: atMs,
    memory: {
      heapUsedBytes: (oldMb + 5) * MIB,
      heapTotalBytes: (oldMb + 20) * MIB,
      heapLimitBytes: (capacityMb + 48) * MIB,
      oldSpaceBytes: oldMb * MIB,
      rssBytes: (oldMb + 60) * MIB,
      externalBytes: 3 * MIB,
      arrayBuffersBytes: MIB,
      mallocedBytes: MIB,
      peakMallocedBytes: 2 * MIB,
    },
    limits: {
      heapCapacityBytes: capacityMb * MIB,
      containerBytes: null,
      containerUsedBytes: null,
      containerOomKills: null,
    },
    gc: { minorTotal: step, majorTotal: majors, incrementalTotal: majors, pauseMsTotal: step, floor },
    loop: { delayP99Ms: 12, delayMaxMs: 30 },
    descriptors: { open: 40 + row.connections, limit: 65_536 },
    connections: {
      active: websockets(row.connections),
      openedTotal: websockets(row.opened),
      closedTotal: websockets(row.closed),
      unanswering,
      unaskable: 0,
      retained: majors < 2 ? null : 0,
      uncollected,
      sendBufferBytes: 0,
      slow: 0,
      closeCodes: {},
      messagesSentTotal: step * 100,
      messagesFailedTotal: 0,
      rtt: null,
      maxConnections: null,
    },
    marks: [],
    blind: [],
    ...more,
  };
}

export const COUNT_NAMES = Object.keys(ALL_COUNTS);
export const LEAKING_COUNTS = [
  'sessions',
  'registry',
  'listeners',
  'rooms',
  'pool',
  'timers',
  'profiles',
  'upstream',
  'mixedSessions',
  'sharedRooms',
  'jobs',
  'severalEntries',
];
