// Simulated registries in which a connection has several entries, and healthy collections that look the same.

const STEP_MIN = 0.25;

const TYPES = [
  { source: 'app' },
  { source: 'found' },
  { source: 'found', hasLastEventTime: true },
  { source: 'found', areConnections: false },
];

/** The number of entries of each connection, and how many of them a connection that leaks leaves. */
function drawEntries(r) {
  const [most, isFixed] = [r.whole(2, 6), r.next() < 0.5];
  const leaves = r.oneOf(['one', 'all', 'some']);
  return () => {
    const entries = isFixed ? most : r.whole(1, most);
    const left = { one: 1, all: entries, some: r.whole(0, entries) }[leaves];
    return { entries, left };
  };
}

export const ENTRIES = {
  /** Each connection adds entries, which are removed when it closes or when a time to live has passed. */
  severalEntries(r, rows, leak) {
    const [draw, type] = [drawEntries(r), r.oneOf(TYPES)];
    const ttl = type.areConnections === false || type.source === 'app' ? r.oneOf([0, 0, 10, 30]) : 0;
    const ofOpened = [];
    const removedAt = [];
    let [added, removed, closedBefore] = [0, 0, 0];
    return ({ step, opened, closed }) => {
      while (ofOpened.length < opened) {
        const one = draw();
        ofOpened.push(one);
        added += one.entries;
      }
      for (; closedBefore < closed; closedBefore += 1) {
        const { entries, left } = ofOpened[closedBefore];
        removed += entries - (r.next() < leak ? left : 0);
      }
      removedAt[step] = removed;
      const gone = removedAt[step - Math.round(ttl / STEP_MIN)] ?? 0;
      return { registries: [{ name: 'presence', entries: added - gone, ...type }] };
    };
  },
  /** Each connection subscribes to some of many topics, whose entries stay. */
  manyTopics(r) {
    const [draw, topics] = [drawEntries(r), r.oneOf([300, 1000, 3000, 10_000])];
    const seen = new Set();
    let last = 0;
    return ({ opened }) => {
      for (; last < opened; last += 1)
        for (let left = draw().entries; left > 0; left -= 1) seen.add(Math.floor(r.next() ** 1.5 * topics));
      return {
        registries: [{ name: 'topics', entries: seen.size, source: 'found', areConnections: false }],
      };
    };
  },
  /** Messages start jobs that have their connection. By day more come than are done; the oldest one is done first. */
  waitingWork(r, rows) {
    const perMinute = r.between(0.2, 5);
    const mean = rows.reduce((sum, { connections }) => sum + connections, 0) / rows.length;
    const capacity = perMinute * STEP_MIN * mean * r.between(0.9, 1.2);
    let waiting = 0;
    return ({ connections }) => {
      waiting = Math.max(0, waiting + r.poisson(perMinute * STEP_MIN * connections) - capacity);
      const entries = Math.round(waiting);
      return { registries: [{ name: 'work', entries, source: 'found', isWorkedOff: entries > 0 }] };
    };
  },
};
