/** The records of the leak kinds that are counted directly. Their order is the order of metrics and pages. */

import {
  COUNTS_WINDOW,
  CRITICAL_TIME_TO_LIMIT,
  least,
  RISE,
  COUNTS_TREND,
  LEAKED_PER_CLOSED,
} from './shared.ts';
import {
  fromPage,
  fromTraces,
  measured,
  MIB,
  type CountedLeakKind,
  type KindRecords,
  type LeakSpec,
} from './spec.ts';

export const COUNTED_LEAKS = {
  'zombie-connections': {
    family: 'leak',
    summary: 'connections do not reply to pings, and their number grows',
    subjectNoun: 'transport',
    detector: 'unanswering',
    mayBeRuledOut: true,
    isCounted: true,
    thresholds: {
      ...RISE,
      openShare: least('the same rise as a share of the connections open now', 0.1, '%', {
        source: fromTraces('healthy servers had up to 9 % unresponsive connections at a time'),
      }),
      trend: COUNTS_TREND,
      busyLoop: least('event-loop delay (median of p99 over 5 min)', 500, 'ms', {
        is: 'at most',
        source: measured('above this delay pongs wait unread in the receive queue of the server itself'),
      }),
      timeToLimit: CRITICAL_TIME_TO_LIMIT,
    },
    window: COUNTS_WINDOW,
    retainedBy: {
      suspectType: null,
      text: 'the server itself: its list of clients, rooms and timers of sockets that are still open',
    },
    keepsData: false,
    advice: {
      now: 'Restart one instance at a time. Live clients reconnect; the zombie connections are gone. Let a running snapshot finish first.',
      fix: 'Ping each connection every 30 s and terminate() each one that did not reply to the previous ping. Leave rooms and delete map entries in the close handler.',
      restart: null,
    },
    docs: 'docs/leaks/zombie-connections.md',
  },
  'slow-consumer': {
    family: 'leak',
    summary: 'pending writes grow on connections whose peers read too slowly',
    subjectNoun: 'send buffers',
    detector: 'backlog',
    mayBeRuledOut: true,
    isCounted: true,
    thresholds: {
      rise: least(
        'rise of ws_send_buffer_bytes in the window beyond what the connections explain',
        4 * MIB,
        'By',
        {
          source: measured(
            'the kernel takes about 3.9 MB per loopback peer before the process sees pending writes; less is one burst',
          ),
        },
      ),
      trend: COUNTS_TREND,
      timeToLimit: CRITICAL_TIME_TO_LIMIT,
    },
    window: COUNTS_WINDOW,
    retainedBy: { suspectType: null, text: 'the write queue of each slow socket' },
    keepsData: false,
    advice: {
      now: 'Disconnect the slowest clients (terminate(), not close()) or lower the rate of broadcasts. Restart only if memory is short.',
      fix: 'Read bufferedAmount before each send(). Above a high-water mark drop the message or, where every message must arrive, close the connection.',
      restart: null,
    },
    docs: 'docs/leaks/slow-consumer.md',
  },
  'listener-accumulation': {
    family: 'leak',
    summary: 'an emitter has more listeners than there are connections, and their number grows',
    subjectNoun: 'emitter and event',
    detector: 'listeners',
    mayBeRuledOut: true,
    isCounted: true,
    thresholds: {
      perConnection: least('listeners per connection', 2, '1', {
        group: 'ratio',
        source: fromPage('docs/mission.md'),
      }),
      leakedPerClosed: LEAKED_PER_CLOSED,
      criticalPerConnection: least('listeners per connection', 5, '1', {
        severity: 'critical',
        source: fromPage('docs/mission.md'),
      }),
      ...RISE,
      trend: COUNTS_TREND,
      timeToLimit: CRITICAL_TIME_TO_LIMIT,
    },
    window: COUNTS_WINDOW,
    retainedBy: {
      suspectType: 'Listeners',
      text: 'the listener list of an emitter that outlives the connections',
    },
    keepsData: false,
    advice: {
      now: 'Restart one instance at a time before the limit. Nothing else removes listeners to which the code has no reference.',
      fix: 'Remove the listener when its connection closes (keep the function and call `removeListener` in the close handler), or use one listener and look the connection up in a Map.',
      restart: null,
    },
    docs: 'docs/leaks/listener-accumulation.md',
  },
  'registry-growth': {
    family: 'leak',
    summary: 'entries of a Map, Set or Array stay after their connection has closed',
    subjectNoun: 'registry',
    detector: 'registries',
    mayBeRuledOut: true,
    isCounted: true,
    thresholds: { ...RISE, trend: COUNTS_TREND, timeToLimit: CRITICAL_TIME_TO_LIMIT },
    window: COUNTS_WINDOW,
    retainedBy: { suspectType: null, text: 'the registry: a Map, Set or Array of the application' },
    keepsData: true,
    advice: {
      now: 'Restart one instance at a time before the limit.',
      fix: 'Delete the entry in the close handler of the connection that added it, under the same key, exactly once. Do not rely on a goodbye message.',
      restart: null,
    },
    docs: 'docs/leaks/registry-growth.md',
  },
  'room-growth': {
    family: 'leak',
    summary: 'rooms, or members of rooms, stay after their connections have closed',
    subjectNoun: 'rooms',
    detector: 'rooms',
    mayBeRuledOut: false,
    isCounted: true,
    thresholds: { ...RISE, trend: COUNTS_TREND, timeToLimit: CRITICAL_TIME_TO_LIMIT },
    window: COUNTS_WINDOW,
    retainedBy: { suspectType: null, text: 'a Map of rooms, or the member list of a room' },
    keepsData: true,
    advice: {
      now: 'Restart one instance at a time before the limit.',
      fix: 'Leave every room in the close handler and delete a room when its last member leaves. Ignore a join that completes after the close.',
      restart: null,
    },
    docs: 'docs/leaks/room-growth.md',
  },
  'queue-growth': {
    family: 'leak',
    summary: 'a queue receives items faster than they are consumed',
    subjectNoun: 'queue',
    detector: 'queues',
    mayBeRuledOut: false,
    isCounted: true,
    thresholds: {
      rise: least('rise in the window', 500, 'items', {
        source: fromTraces('healthy queues rise and fall with the traffic by up to some hundred items'),
      }),
      trend: COUNTS_TREND,
      timeToLimit: CRITICAL_TIME_TO_LIMIT,
    },
    window: COUNTS_WINDOW,
    retainedBy: { suspectType: null, text: 'the queue: an Array or list of the application' },
    keepsData: true,
    advice: {
      now: 'Restart one instance at a time before the limit. A restart loses the items in the queue.',
      fix: 'Bound the queue by items and by age, drop or refuse what exceeds the bound, count the drops, and empty the queue when its connection closes.',
      restart: null,
    },
    docs: 'docs/leaks/queue-growth.md',
  },
} as const satisfies KindRecords<CountedLeakKind, LeakSpec>;
