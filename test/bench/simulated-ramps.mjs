// Simulated servers whose connections climb in a straight line and whose closed connections are replaced at once. Each open and
// close is an event, so that the real `ListenerChanges` follows the listeners around it. Healthy kinds and leaky ones.
import { createRequire } from 'node:module';
import { randomOf, sampleOf } from './simulated-servers.mjs';

const { ListenerChanges } = createRequire(import.meta.url)('../../dist/hooks/emitters/listener-changes.js');
const MINUTE_MS = 60_000;
const SAMPLE_MS = 15_000;

/** Events in the order of their times. */
class Agenda {
  #events = [];
  nowMs = 0;
  at(ms, task) {
    const event = { ms: Math.max(ms, this.nowMs), task };
    let [low, high] = [0, this.#events.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#events[middle].ms > event.ms) low = middle + 1;
      else high = middle;
    }
    this.#events.splice(low, 0, event);
  }
  after(ms, task) {
    this.at(this.nowMs + ms, task);
  }
  runUntil(ms) {
    while (this.#events.length > 0 && this.#events.at(-1).ms <= ms) {
      const { ms: at, task } = this.#events.pop();
      this.nowMs = at;
      task();
    }
    this.nowMs = ms;
  }
}

/**
 * Each kind draws its parameters and returns what the application does at an open and at a close. `add` and `remove` change
 * the listeners, `after` waits. `staysLonger`: whether a connection closes later than others.
 */
const HEALTHY = {
  /** The same number of listeners for each connection. */
  sameNumber(r) {
    const each = r.whole(1, 10);
    return { open: ({ add }) => add(each), close: ({ removeAll }) => removeAll() };
  },
  /** A part of the connections has a further listener. */
  furtherListener(r) {
    const [share, more] = [r.between(0.02, 0.9), r.whole(1, 3)];
    return {
      open: ({ add }) => add(r.next() < share ? 1 + more : 1),
      close: ({ removeAll }) => removeAll(),
    };
  },
  /** Short connections have one listener, long ones have several. */
  groups(r) {
    const [share, more] = [r.between(0.05, 0.5), r.whole(1, 4)];
    return {
      open({ add, connection }) {
        connection.isLong = r.next() < share;
        add(connection.isLong ? 1 + more : 1);
      },
      close: ({ removeAll }) => removeAll(),
      staysLonger: (connection) => connection.isLong,
    };
  },
  /** Clients subscribe to more while they are connected. */
  subscribesLater(r) {
    const [meanMs, mean] = [r.oneOf([1, 20, 1_000, 60_000, 600_000]) * r.between(1, 3), r.between(0.1, 3)];
    return {
      open({ add, after, connection }) {
        add(1);
        for (let left = r.poisson(mean); left > 0; left -= 1)
          after(r.exponential(meanMs), () => connection.isOpen && add(1));
      },
      close: ({ removeAll }) => removeAll(),
    };
  },
  /** The listeners of some connections go when a request to a database has ended. */
  lateCleanup(r) {
    const [share, ms] = [r.between(0.05, 1), r.oneOf([2, 100, 5_000, 30_000])];
    return {
      open: ({ add }) => add(1),
      close: ({ removeAll, after }) =>
        r.next() < share ? after(r.between(0.5, 1) * ms, removeAll) : removeAll(),
    };
  },
  /** Both of the last two. */
  subscribesAndCleansUpLate(r) {
    const [a, b] = [HEALTHY.subscribesLater(r), HEALTHY.lateCleanup(r)];
    return { open: a.open, close: b.close };
  },
  /** A sweep removes the listeners of closed connections. */
  sweep(r, { agenda }) {
    const everyMs = r.oneOf([30_000, 60_000, 300_000]);
    const [share, each] = [r.between(0.1, 1), r.whole(1, 3)];
    let waiting = [];
    const sweep = () => {
      for (const removeAll of waiting) removeAll();
      waiting = [];
      agenda.after(everyMs, sweep);
    };
    agenda.after(everyMs, sweep);
    return {
      open: ({ add }) => add(each),
      close: ({ removeAll }) => (r.next() < share ? waiting.push(removeAll) : removeAll()),
    };
  },
  /** The listeners of a pool, which grows with the connections. */
  listenerPool(r) {
    const [perSocket, base] = [r.whole(2, 15), r.whole(0, 1)];
    let pooled = 0;
    return {
      open({ add, addOther, connections }) {
        add(base);
        for (; pooled < connections() / perSocket; pooled += 1) addOther(1);
      },
      close: ({ removeAll }) => removeAll(),
    };
  },
  /** Users come back and take over their listener; after an hour without a connection it goes. */
  resumed(r) {
    const share = r.between(0.05, 0.95);
    let waiting = 0;
    return {
      open({ add, connection }) {
        if (waiting > 0 && r.next() < share) {
          waiting -= 1;
          connection.listeners = 1;
        } else add(1);
      },
      close({ connection, after, removeAll, removeOther }) {
        if (r.next() > share || connection.listeners !== 1) return removeAll();
        waiting += 1;
        after(r.between(10, 60) * MINUTE_MS, () => {
          if (waiting === 0) return;
          waiting -= 1;
          removeOther(1);
        });
      },
    };
  },
  /** Connections of another server on the same port have no listeners. */
  otherServer(r) {
    const [each, share] = [r.whole(1, 4), r.between(0.01, 0.3)];
    return {
      open({ add, connection }) {
        connection.isLong = r.next() > share;
        add(connection.isLong ? each : 0);
      },
      close: ({ removeAll }) => removeAll(),
      staysLonger: (connection) => connection.isLong,
    };
  },
  /** The first connections have no listeners. They close, and connections with listeners replace them. */
  firstOnesDrain(r, { agenda }) {
    const [each, untilMs] = [r.whole(1, 3), r.between(60, 150) * MINUTE_MS];
    return {
      open({ add, connection }) {
        connection.isLong = agenda.nowMs > untilMs;
        add(connection.isLong ? each : 0);
      },
      close: ({ removeAll }) => removeAll(),
      staysLonger: (connection) => connection.isLong,
    };
  },
  /** Some closed connections keep their listener for up to an hour. */
  keptForAnHour(r) {
    const [share, keptMinutes] = [r.between(0.05, 0.6), r.between(5, 65)];
    return {
      open: ({ add }) => add(1),
      close: ({ removeAll, after }) =>
        r.next() < share ? after(keptMinutes * MINUTE_MS, removeAll) : removeAll(),
    };
  },
  /** The last closed connections keep their listener. */
  lastClosed(r) {
    const max = r.whole(5, 40);
    const kept = [];
    return {
      open: ({ add }) => add(1),
      close({ removeAll }) {
        kept.push(removeAll);
        if (kept.length > max) kept.shift()();
      },
    };
  },
  /** Most connections close and come back. */
  storms: (r) => ({
    ...HEALTHY[r.oneOf(['sameNumber', 'lateCleanup', 'subscribesLater'])](r),
    stormMinutes: r.whole(20, 90),
  }),
  /** The number of connections follows the time of day. */
  waves: (r) => ({ ...HEALTHY[r.oneOf(['sameNumber', 'furtherListener', 'groups'])](r), isWave: true }),
  /** Each connection has its listeners after its login. */
  login(r) {
    const [ms, each] = [r.oneOf([1, 30, 500, 3_000]), r.whole(1, 4)];
    return {
      open: ({ add, after, connection }) => after(r.exponential(ms), () => connection.isOpen && add(each)),
      close: ({ removeAll }) => removeAll(),
    };
  },
  /** One connection of each group has a listener more; another one takes it over. */
  leaders(r) {
    const perGroup = r.whole(3, 30);
    let leaders = 0;
    const elect = ({ addOther, removeOther, connections }) => {
      const wanted = Math.ceil(connections() / perGroup);
      if (wanted > leaders) addOther(wanted - leaders);
      else removeOther(leaders - wanted);
      leaders = wanted;
    };
    return {
      open(context) {
        context.add(1);
        elect(context);
      },
      close(context) {
        context.removeAll();
        elect(context);
      },
    };
  },
};

/** `share` of the closed connections leave one of their listeners. */
const leavesOne = (share) => (r) => {
  const each = r.whole(1, 4);
  return {
    open: ({ add }) => add(each),
    close: ({ removeAll, connection }) => {
      if (r.next() < share) connection.listeners -= 1;
      removeAll();
    },
  };
};
const LEAKS = {
  leavesOneInTen: leavesOne(0.1),
  leavesOneInFour: leavesOne(0.25),
  leavesOneOfTwo: leavesOne(0.5),
};

export const HEALTHY_RAMPS = Object.keys(HEALTHY);
export const RAMP_LEAKS = Object.keys(LEAKS);

const CLIENT_MS = 6_000;

/** The connections of one server, its emitter, and what the agent sees of it. */
function createServer(r, { agenda, kind }) {
  const listeners = [];
  const bus = { _events: { news: listeners } };
  const open = [];
  const totals = { opened: 0, closed: 0 };
  const iterationMs = r.oneOf([0.1, 0.3, 3, 15]);
  const changes = new ListenerChanges({
    nowMs: () => agenda.nowMs,
    later: (task) => agenda.after(iterationMs, task),
    openConnections: () => open.length,
    maxPerSecond: 20,
  });
  const change = (count) => (listeners.length += count);
  change(r.whole(0, 8));
  const behaviour = (HEALTHY[kind] ?? LEAKS[kind])(r, { agenda });
  const contextOf = (connection) => ({
    connection,
    connections: () => open.length,
    after: (ms, task) => agenda.after(ms, task),
    add(count) {
      connection.listeners += count;
      change(count);
    },
    addOther: change,
    removeOther: (count) => change(-count),
    removeAll() {
      change(-connection.listeners);
      connection.listeners = 0;
    },
  });
  return {
    ...{ behaviour, bus, changes, listeners, open, totals },
    openOne() {
      const connection = { listeners: 0, isOpen: true };
      changes.noteOpened({ _isServer: true });
      totals.opened += 1;
      open.push(connection);
      behaviour.open(contextOf(connection));
    },
    closeRandom() {
      const random = () => Math.floor(r.next() * open.length);
      const index = random();
      const isAnother = behaviour.staysLonger?.(open[index] ?? {}) === true && r.next() < 0.9;
      const [connection] = open.splice(isAnother ? random() : index, 1);
      if (connection === undefined) return;
      changes.noteClosed();
      totals.closed += 1;
      connection.isOpen = false;
      // Node emits `close` in the next iteration.
      agenda.after(iterationMs * 1.5, () => behaviour.close(contextOf(connection)));
    },
  };
}

/** Clients that replace each closed connection within some seconds, and whose number climbs. */
function startClients(r, { agenda, minutes, server }) {
  const { behaviour, open, openOne, closeRandom } = server;
  const [from, to] = [r.whole(10, 60), r.whole(300, 2500)];
  const [churnPerMinute, period] = [r.between(3, 20), r.between(60, 400)];
  const replaceMs = r.oneOf([1, 20, 2_000]);
  const target = (minute) =>
    behaviour.isWave === true
      ? to * (0.3 + 0.2 * Math.sin((2 * Math.PI * minute) / period))
      : from + ((to - from) * minute) / minutes;
  const tick = () => {
    const minute = agenda.nowMs / MINUTE_MS;
    const wanted = Math.round(target(minute)) - open.length;
    for (let i = 0; i < Math.min(wanted, 250); i += 1) agenda.after(r.between(0, replaceMs), openOne);
    for (let i = 0; i < -wanted; i += 1) agenda.after(r.between(0, replaceMs), closeRandom);
    const closes = r.poisson((churnPerMinute * CLIENT_MS) / MINUTE_MS);
    for (let i = 0; i < closes; i += 1) agenda.after(r.between(0, 20), closeRandom);
    const { stormMinutes } = behaviour;
    if (stormMinutes !== undefined && minute > 0 && Math.round(minute * 10) % (stormMinutes * 10) === 0)
      for (let left = Math.round(0.7 * open.length); left > 0; left -= 1) closeRandom();
    agenda.after(CLIENT_MS, tick);
  };
  tick();
}

function emittersOf({ bus, changes, listeners }) {
  const reading = changes.readingOf(bus, 'news');
  if (reading === null) return [];
  const row = { emitter: 'bus', listeners: listeners.length, source: 'found' };
  return [
    { ...row, event: '*', eventNames: 1 },
    { ...row, event: 'news', eventNames: null, changes: reading },
  ];
}

/** The samples of one server. */
export function simulateRamp({ seed, minutes, kind }) {
  const r = randomOf(seed);
  const agenda = new Agenda();
  const server = createServer(r, { agenda, kind });
  startClients(r, { agenda, minutes, server });
  const { bus, changes, listeners, open, totals } = server;
  return Array.from({ length: (minutes * MINUTE_MS) / SAMPLE_MS + 1 }, (_, step) => {
    agenda.runUntil(step * SAMPLE_MS);
    if (listeners.length >= 8) changes.follow([{ emitter: bus, event: 'news', listeners: listeners.length }]);
    const row = { minute: (step * SAMPLE_MS) / MINUTE_MS, connections: open.length, ...totals };
    const process = { majors: 0, floor: null, uncollected: 0, unanswering: 0, capacityMb: 2048 };
    return sampleOf(
      { row, step, live: 25 + 0.02 * open.length, garbage: 0, ...process },
      { registries: [], queues: [], rooms: [], emitters: emittersOf(server) },
    );
  });
}
