/** The records of the leak kinds that may be the effect of a counted one. Their order is the order of metrics and pages. */

import { CRITICAL_TIME_TO_LIMIT, GROWTH_OUTSIDE_HEAP, least, RISE } from './shared.ts';
import {
  fromPage,
  fromTraces,
  HOUR_MS,
  measured,
  simulated,
  MIB,
  MINUTE_MS,
  type DerivedLeakKind,
  type KindRecords,
  type LeakSpec,
} from './spec.ts';

export const DERIVED_LEAKS = {
  'retained-after-close': {
    family: 'leak',
    summary: 'closed connections are still in memory after two major GCs',
    subjectNoun: 'closed connections',
    detector: 'retained',
    mayBeRuledOut: true,
    isCounted: false,
    isMemoryAlone: false,
    countsConnections: true,
    showsLineOf: null,
    thresholds: {
      ...RISE,
      majorGcs: least('major GCs in the window', 4, 'major GCs', {
        source: fromTraces(
          'fewer than 4 readings did not distinguish a leak from connections that are released late',
        ),
      }),
      notFalling: least('readings that are not below the previous one', 0.7, '%', {
        source: fromTraces('counts of healthy servers fell at more than 30 % of the major GCs'),
      }),
      allRetained: least('retained connections as a share of all that ever closed', 0.9, '%', {
        group: 'nothing was released',
        source: measured(
          '10 of 10 leaks found, none false: no pool and no history of recent sessions retains so much',
        ),
      }),
      allPerOpen: least('retained connections per open connection', 2, '1', {
        group: 'nothing was released',
        source: measured(
          'some libraries keep closed sockets for 15 to 30 s, which is at most about one per open one',
        ),
      }),
      allRetainedCount: least('retained connections', 100, 'connections', {
        group: 'nothing was released',
        source: fromPage('docs/detection.md: a history of the last 100 connections is a usual debugging aid'),
      }),
      timeToLimit: CRITICAL_TIME_TO_LIMIT,
    },
    window: {
      ms: 60 * MINUTE_MS,
      text: 'The window is 60 min, or the last 4 major GCs where these are rare. Readings are taken after major GCs, and they must span 8 min.',
    },
    retainedBy: { suspectType: null, text: 'a timer, a pending promise, a closure or a cache' },
    keepsData: true,
    advice: {
      now: 'Restart one instance at a time before memory reaches its limit. The snapshot shows what retains the closed connections.',
      fix: 'Find the retaining path in the snapshot (a timer, a promise, a closure, a cache) and release it in the close handler.',
      withoutSnapshot: {
        now: 'Restart one instance at a time before memory reaches its limit. This process has no snapshot; the reason is in the alert.',
        fix: 'Look in the code of the connection for a timer, a promise, a closure or a cache that refers to it, and release it in the close handler.',
      },
      restart: null,
    },
    docs: 'docs/leaks/retained-after-close.md',
  },
  'unclosed-growth': {
    family: 'leak',
    summary: 'connections open and never close, although their peers reply to pings',
    subjectNoun: 'connections',
    detector: 'unclosed',
    mayBeRuledOut: false,
    isCounted: false,
    isMemoryAlone: false,
    countsConnections: true,
    showsLineOf: null,
    thresholds: {
      rise: least('rise of the responsive connections in the window', 50, 'connections', {
        source: fromPage('docs/detection.md: fewer are a normal variation over six hours'),
      }),
      factor: least('responsive connections now, relative to the start of the window', 2, '1', {
        source: fromPage(
          'docs/detection.md: a working day rarely doubles the connections for six hours without a pause',
        ),
      }),
      closedPerOpened: least('closed connections per opened one', 0.2, '1', {
        is: 'at most',
        source: fromTraces('healthy ramps of the traces close more than every fifth connection'),
      }),
      pace: least('rise of the last quarter relative to the first quarter', 0.5, '1', {
        source: fromTraces('a ramp slows down; a leak keeps its pace'),
      }),
      timeToLimit: CRITICAL_TIME_TO_LIMIT,
    },
    window: {
      ms: 6 * HOUR_MS,
      text: 'The window is 6 h, because a morning ramp takes hours too. Each quarter of the window must bring more connections.',
    },
    retainedBy: { suspectType: null, text: 'the server itself: the connections are open' },
    keepsData: false,
    advice: {
      now: 'Check whether the clients are real. If they are, this is load: add instances. If not, restart one instance at a time.',
      fix: 'Close connections that are idle for longer than the application needs, and close the old connection when the same user connects again.',
      restart: null,
    },
    docs: 'docs/leaks/unclosed-growth.md',
  },
  'external-buffers': {
    family: 'leak',
    summary: 'memory of Buffers and ArrayBuffers grows outside the V8 heap',
    subjectNoun: 'memory pool',
    detector: 'external',
    mayBeRuledOut: true,
    isCounted: false,
    isMemoryAlone: false,
    countsConnections: false,
    showsLineOf: null,
    thresholds: {
      fastShare: least('rise in 30 min as a share of the memory limit', 0.04, '%', {
        group: 'in 30 min',
        source: fromTraces('healthy servers of the example traces stayed below 4 %'),
      }),
      fastBytes: least('or rise in 30 min', 32 * MIB, 'By', {
        group: 'in 30 min',
        source: measured(
          'a share says little where the limit is gigabytes; steady growth of 32 MiB was never healthy',
        ),
      }),
      slowShare: least('rise in 60 min as a share of the memory limit', 0.02, '%', {
        group: 'in 60 min',
        source: fromTraces('RL15 leaks too slowly for the rule of 30 min'),
      }),
      slowBytes: least('or rise in 60 min', 16 * MIB, 'By', {
        group: 'in 60 min',
        source: measured('half of the bytes of the rule of 30 min'),
      }),
      lateShare: least('part of the rise in the last half of the window', 0.25, '%', {
        source: fromTraces('buffers of a finished burst bring less than a quarter in the last half'),
      }),
      rssShare: least('rise as a share of the rise of RSS', 0.3, '%', {
        source: measured(
          'compression contexts report a tenth of their memory as external (33 of 250 to 300 KB)',
        ),
      }),
      ...GROWTH_OUTSIDE_HEAP,
      timeToLimit: CRITICAL_TIME_TO_LIMIT,
    },
    window: {
      ms: 60 * MINUTE_MS,
      text: 'Two windows, 30 min and 60 min, each in six blocks whose minima must all rise. The growth must also survive major GCs.',
    },
    retainedBy: {
      suspectType: 'ArrayBuffers',
      text: 'a cache or a session that keeps Buffers, or slices of pooled Buffers',
    },
    keepsData: false,
    advice: {
      now: 'Restart one instance at a time before memory reaches its limit. A heap snapshot shows what retains the Buffers, not their bytes.',
      fix: 'Copy the part of a message that you keep (`Buffer.from(slice)`): a slice retains its whole pool. Bound caches of Buffers by bytes.',
      withoutSnapshot: {
        now: 'Restart one instance at a time before memory reaches its limit. This process has no snapshot; the reason is in the alert.',
        fix: 'Copy the part of a message that you keep (`Buffer.from(slice)`): a slice retains its whole pool. Bound caches of Buffers by bytes.',
      },
      restart: null,
    },
    docs: 'docs/leaks/external-buffers.md',
  },
  'native-or-compression': {
    family: 'leak',
    summary: 'RSS grows beyond the V8 heap and Buffers',
    subjectNoun: 'memory pool',
    detector: 'native',
    mayBeRuledOut: false,
    isCounted: false,
    isMemoryAlone: false,
    countsConnections: false,
    showsLineOf: null,
    thresholds: {
      minBytes: least('rise in the window', 24 * MIB, 'By', {
        source: measured('RSS moves by 10 to 30 MB while the first connections arrive'),
      }),
      riseShare: least('rise as a share of the memory limit', 0.1, '%', {
        group: 'share',
        source: fromTraces('allocators of healthy servers keep up to a tenth of the limit for later'),
      }),
      rssShare: least('or rise as a share of RSS', 0.3, '%', {
        group: 'share',
        source: measured('the free memory that malloc keeps grows with the process'),
      }),
      rssMinBytes: least('together with a rise of', 48 * MIB, 'By', {
        group: 'share',
        source: measured('twice the movement of RSS during the start'),
      }),
      lateShare: least('part of the rise in the last half of the window', 0.35, '%', {
        source: fromTraces('memory that malloc keeps after a burst brings less in the last half'),
      }),
      ...GROWTH_OUTSIDE_HEAP,
      timeToLimit: CRITICAL_TIME_TO_LIMIT,
    },
    window: {
      ms: 60 * MINUTE_MS,
      text: 'The window is 60 min in six blocks whose minima must all rise. The first 2 min, and 1 min after a snapshot in the process, are left out.',
    },
    retainedBy: {
      suspectType: 'Native',
      text: 'compression contexts (permessage-deflate) or native add-ons',
    },
    keepsData: false,
    advice: {
      now: "Restart one instance at a time before the container's limit.",
      fix: 'Turn perMessageDeflate off or bound it (serverNoContextTakeover, a threshold, a concurrencyLimit). Each context costs about 250 to 300 KB outside the heap.',
      restart: null,
    },
    docs: 'docs/leaks/native-or-compression.md',
  },
  'heap-growth': {
    family: 'leak',
    summary: 'the heap after major GCs grows, and no other kind explains it',
    subjectNoun: 'memory pool',
    detector: 'floor',
    mayBeRuledOut: true,
    isCounted: false,
    isMemoryAlone: true,
    countsConnections: false,
    showsLineOf: null,
    thresholds: {
      majorGcs: least('major GCs in the window', 5, 'major GCs', {
        source: fromTraces('fewer points gave false alerts on healthy example traces'),
      }),
      span: least('time between the first and the last of them', 20 * MINUTE_MS, 'ms', {
        source: fromTraces('a warm-up takes up to 20 min'),
      }),
      trend: least('standard errors of the trend above 0', 3, '1', {
        is: 'more than',
        source: fromTraces("Student's t at 99 %, at least 3; OLS with Newey-West errors, 2 lags"),
      }),
      riseShare: least('rise as a share of the heap capacity', 0.05, '%', {
        is: 'more than',
        source: fromTraces('the post-GC heap of healthy servers varies by less than 5 % of capacity'),
      }),
      fullShare: least('post-GC heap as a share of the heap capacity', 0.55, '%', {
        is: 'more than',
        group: 'near or long',
        source: fromTraces('healthy caches of the traces stop filling below 55 % of capacity'),
      }),
      longSpan: least('or duration of the growth', 50 * MINUTE_MS, 'ms', {
        group: 'near or long',
        source: fromTraces(
          'healthy caches fill for up to 45 min; with 40 min one more of 64 healthy runs raises an alert',
        ),
      }),
      timeToCapacity: least('time until the heap capacity is reached', 4 * HOUR_MS, 'ms', {
        is: 'less than',
        source: fromTraces('slower growth needs the stricter tests below'),
      }),
      slowTimeToCapacity: least(
        'time until the heap capacity is reached, for slow growth',
        48 * HOUR_MS,
        'ms',
        {
          is: 'less than',
          group: 'slow growth',
          source: fromTraces('beyond two days the estimate says nothing'),
        },
      ),
      slowSpan: least('duration of slow growth, also in a large heap', 65 * MINUTE_MS, 'ms', {
        group: 'slow growth',
        source: simulated(
          'buffers that are written once an hour, and sessions and caches that live for one, grow for an hour',
        ),
      }),
      slowMajorGcs: least('major GCs, for slow growth', 12, 'major GCs', {
        group: 'slow growth',
        source: fromTraces('slow growth needs more points than fast growth'),
      }),
      slowTrend: least('standard errors of the trend above 0, for slow growth', 6, '1', {
        is: 'more than',
        group: 'slow growth',
        source: fromTraces('the same as for counts'),
      }),
      largeHeapMajorGcs: least('major GCs, in a large heap', 8, 'major GCs', {
        group: 'large heap',
        source: fromTraces('in a heap of gigabytes the time to the limit is days and says nothing'),
      }),
      largeHeapRise: least('rise relative to the first post-GC heap, in a large heap', 0.5, '%', {
        is: 'more than',
        group: 'large heap',
        source: fromTraces('no healthy server grew by half of its post-GC heap over 50 min'),
      }),
      largeHeapBytes: least('rise, in a large heap', 12 * MIB, 'By', {
        is: 'more than',
        group: 'large heap',
        source: measured('the caches of Node and of the libraries themselves stay below 12 MiB'),
      }),
      veryLongSpan: least('duration of the growth, whatever the limit', 4 * HOUR_MS, 'ms', {
        group: 'hours of growth',
        source: simulated('warm-ups and caches of healthy servers stop or slow down within 4 h'),
      }),
      veryLongMajorGcs: least('major GCs in that time', 8, 'major GCs', {
        group: 'hours of growth',
        source: simulated('fewer sizes do not show that the growth never stood still'),
      }),
      veryLongRise: least('rise in that time', 24 * MIB, 'By', {
        group: 'hours of growth',
        source: measured('twice the rise that the caches of Node and of the libraries reach'),
      }),
      veryLongRiseShare: least('rise in that time relative to the first post-GC heap', 0.1, '%', {
        group: 'hours of growth',
        source: simulated('the post-GC heap of healthy servers varies by less'),
      }),
      growth: least('growth, once the tests hold', 50 * MIB, 'By/h', {
        source: fromPage('docs/mission.md'),
      }),
      criticalGrowth: least('growth, once the tests hold', 100 * MIB, 'By/h', {
        severity: 'critical',
        source: fromPage('docs/mission.md'),
      }),
      timeToLimit: CRITICAL_TIME_TO_LIMIT,
    },
    window: {
      ms: 60 * MINUTE_MS,
      text: 'The window is 72 min, or the last 12 major GCs where these are rare. Connections are taken out of the trend, and the growth must not slow down.',
    },
    retainedBy: {
      suspectType: null,
      text: 'a Map, an array, a closure or a timer that lives as long as the process',
    },
    keepsData: true,
    advice: {
      now: 'Restart one instance at a time before memory reaches its limit. Keep the snapshots.',
      fix: 'Compare the snapshots (`npx wsguard analyse first second`). The root cause is an object that is in both and refers to many new objects.',
      withoutSnapshot: {
        now: 'Restart one instance at a time before memory reaches its limit. This process has no snapshot; the reason is in the alert.',
        fix: 'Register the Maps, Sets and arrays that may grow with `agent.watchRegistry(name, map)`: the next alert names the one that does.',
      },
      restart: null,
    },
    docs: 'docs/leaks/heap-growth.md',
  },
  divergence: {
    family: 'leak',
    summary:
      'memory grows while the number of responsive connections stays flat; too little data for `heap-growth`',
    subjectNoun: 'memory pool',
    detector: 'divergence',
    mayBeRuledOut: false,
    isCounted: false,
    isMemoryAlone: true,
    countsConnections: false,
    showsLineOf: null,
    thresholds: {
      majorGcs: least('major GCs at a steady number of connections', 5, 'major GCs', {
        group: 'steady',
        source: simulated('three tables that are loaded one after the other raise at most four of them'),
      }),
      fewMajorGcs: least(
        'or major GCs, if old space rose steadily between them or the limit is near',
        3,
        'major GCs',
        {
          group: 'steady',
          source: fromTraces('two points are a line through anything'),
        },
      ),
      span: least('time between the first and the last of them', 50 * MINUTE_MS, 'ms', {
        source: fromTraces('healthy caches fill for up to 45 min'),
      }),
      riseShare: least('rise of the post-GC heap as a share of the heap capacity', 0.08, '%', {
        source: fromTraces(
          'no healthy server moved as much between two major GCs at a steady number of connections',
        ),
      }),
      flatShare: least('variation of the responsive connections', 0.1, '%', {
        is: 'at most',
        source: fromTraces('healthy servers vary by less at steady load'),
      }),
      timeToLimit: CRITICAL_TIME_TO_LIMIT,
    },
    window: {
      ms: 60 * MINUTE_MS,
      text: 'The window is 72 min, or the last 12 major GCs where these are rare, from the time on that the connections are steady.',
    },
    retainedBy: null,
    keepsData: true,
    advice: {
      now: 'Nothing yet: watch this alert. It changes to a more specific kind, or it closes.',
      fix: 'Register the containers that you suspect (`agent.watchRegistry`, `agent.watchQueue`) so that the agent counts them.',
      restart: null,
    },
    docs: 'docs/leaks/divergence.md',
  },
} as const satisfies KindRecords<DerivedLeakKind, LeakSpec>;
