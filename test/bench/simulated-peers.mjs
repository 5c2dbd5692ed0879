// Simulated servers whose peers are drawn at random from a seed: peers that freeze or sleep and are disconnected in time, peers
// that read slowly, and the leaks of them.
import { randomOf, sampleOf, STEP_MIN, trafficOf } from './simulated-servers.mjs';

const MIB = 1024 ** 2;
const MINUTE_MS = 60_000;
const NO_COUNTS = { registries: [], queues: [], rooms: [], emitters: [] };

/** Open connections whose peers froze in the last `minutes`: `frozen` has the number of each step. */
const frozenFor = (frozen, step, minutes) => {
  let sum = 0;
  for (let i = Math.max(0, step - Math.round(minutes / STEP_MIN)); i <= step; i += 1) sum += frozen[i];
  return sum;
};

/** Calls of a step: `opens` is the number of connections that opened in it. */
const HEALTHY = {
  /** Some peers freeze, and a heartbeat or the timeout of TCP disconnects them. */
  reaped(r) {
    const [share, afterMin] = [
      r.oneOf([r.between(0.005, 0.05), r.between(0.05, 0.3)]),
      r.oneOf([1, 2, 5, 15, 30]),
    ];
    const frozen = [];
    return ({ opens, step }) => {
      frozen.push(r.poisson(share * opens));
      return { unanswering: frozenFor(frozen, step, afterMin) };
    };
  },
  /** A network fails for a part of the peers; they are disconnected after some minutes. */
  partitions(r) {
    const [everyMin, part, afterMin] = [r.between(30, 150), r.between(0.05, 0.7), r.oneOf([1, 2, 5, 15, 30])];
    const frozen = [];
    return ({ connections, step }) => {
      frozen.push(r.next() < STEP_MIN / everyMin ? Math.round(part * r.next() * connections) : 0);
      return { unanswering: frozenFor(frozen, step, afterMin) };
    };
  },
  /** Mobile clients that sleep for a while and wake up again: more of them at one time of the day. */
  sleepers(r) {
    const [share, phase, swing] = [r.between(0.05, 0.5), r.between(0, 2 * Math.PI), r.between(0, 0.8)];
    let noise = 0;
    return ({ connections, minute }) => {
      noise = 0.9 * noise + 0.03 * r.normal();
      const part = share * (1 + swing * Math.sin(phase + (2 * Math.PI * minute) / 1440)) * (1 + noise);
      return { unanswering: Math.round(connections * Math.min(0.95, Math.max(0, part))) };
    };
  },
  /** Messages that wait for a moment, with bursts of traffic. */
  bursts(r) {
    const [kb, everyMin, factor] = [r.between(1, 60), r.between(5, 60), r.between(2, 30)];
    let burst = 1;
    return ({ connections }) => {
      burst =
        r.next() < STEP_MIN / everyMin ? factor * r.next() + 1 : Math.max(1, burst * r.between(0.3, 0.95));
      return { waiting: (connections * kb * burst * r.between(0.5, 1.5)) / 1024 };
    };
  },
  /** Slow peers have up to a limit of bytes each, which the server guards. */
  guarded(r) {
    const [share, limitMb, fillMin] = [r.between(0.002, 0.05), r.between(0.1, 4), r.between(5, 40)];
    let filled = 0;
    return ({ connections }) => {
      const most = share * connections * limitMb;
      filled = Math.min(most, filled + (most * STEP_MIN * r.between(0.3, 1.7)) / fillMin);
      return { waiting: filled, slow: Math.round(share * connections) };
    };
  },
  /** Downloads over sockets: each waits as a whole and is read at the pace of its peer. */
  downloads(r) {
    const [perHour, mb, readMin] = [r.between(0.1, 2), r.between(0.5, 20), r.between(0.5, 20)];
    let waiting = 0;
    return ({ connections }) => {
      for (let n = r.poisson((perHour * connections * STEP_MIN) / 60); n > 0; n -= 1)
        waiting += mb * r.next();
      waiting *= Math.exp(-STEP_MIN / readMin);
      return { waiting };
    };
  },
};

/** Each begins at `onset`, a minute. */
const LEAKS = {
  /** Peers that freeze stay for good. */
  zombies(r) {
    const share = r.oneOf([0.01, 0.03, 0.1, 0.3]);
    let frozen = 0;
    return ({ opens }) => ({ unanswering: (frozen += r.poisson(share * opens)) });
  },
  /** Most of them are disconnected. */
  someZombies(r) {
    const [share, left, afterMin] = [r.between(0.02, 0.2), r.between(0.1, 0.5), r.oneOf([1, 5, 15])];
    const frozen = [];
    let stays = 0;
    return ({ opens, step }) => {
      const now = r.poisson(share * opens);
      frozen[step] = now;
      stays += left * now;
      let recent = 0;
      for (let i = Math.max(0, step - Math.round(afterMin / STEP_MIN)); i <= step; i += 1)
        recent += frozen[i] ?? 0;
      return { unanswering: Math.round(stays + (1 - left) * recent) };
    };
  },
  /** A few peers read less than the server sends. */
  backlog(r) {
    const [peers, kbPerMinute] = [r.whole(1, 20), r.between(20, 400)];
    let waiting = 0;
    return () => {
      waiting += (peers * kbPerMinute * STEP_MIN * r.between(0.5, 1.5)) / 1024;
      return { waiting, slow: peers };
    };
  },
};

/** One server with peers of this kind. */
export function simulatePeers({ seed, minutes, memory, leak }) {
  const r = randomOf(seed);
  const rows = trafficOf(r, minutes, r.oneOf(['steady', 'wave', 'wave', 'night', 'bursts', 'ramp']));
  const onset = leak === undefined ? null : r.oneOf([5, 5, 60]);
  const peersOf = leak === undefined ? HEALTHY[memory](r) : LEAKS[leak](r);
  let [majors, before, stayedBefore, frozenTotal] = [0, 0, 0, 0];
  const samples = rows.map((row, step) => {
    const opens = row.opened - before;
    before = row.opened;
    const isHealthy = onset !== null && row.minute < onset;
    const { unanswering = 0, waiting = 0, slow = 0 } = isHealthy ? {} : peersOf({ ...row, opens, step });
    const isGc = step > 0 && r.next() < STEP_MIN / 15;
    if (isGc) majors += 1;
    const live = 40 + 0.02 * row.connections;
    const floor = isGc
      ? { atMs: row.minute * MINUTE_MS, bytes: (live + Math.abs(0.3 * r.normal())) * MIB }
      : null;
    // Frozen peers are open connections too, until something disconnects them. Peers that sleep are among the others.
    const staying = memory === 'sleepers' ? 0 : unanswering;
    frozenTotal += Math.max(0, staying - stayedBefore);
    stayedBefore = staying;
    const withStaying = {
      ...row,
      opened: row.opened + frozenTotal,
      closed: row.closed + frozenTotal - staying,
      connections: row.connections + staying,
    };
    const sample = sampleOf(
      {
        row: withStaying,
        step,
        live,
        garbage: 2,
        majors,
        floor,
        uncollected: 0,
        unanswering,
        capacityMb: 2048,
      },
      NO_COUNTS,
    );
    const rssBytes = sample.memory.rssBytes + waiting * MIB;
    return {
      ...sample,
      memory: { ...sample.memory, rssBytes, externalBytes: sample.memory.externalBytes + waiting * MIB },
      connections: { ...sample.connections, sendBufferBytes: waiting * MIB, slow },
    };
  });
  return { onset, samples };
}

export const HEALTHY_PEERS = Object.keys(HEALTHY);
export const PEER_LEAKS = Object.keys(LEAKS);
