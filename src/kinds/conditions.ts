/** The records of the condition kinds: states of the process that open an alert and never claim a leak. */

import {
  fromPage,
  fromTraces,
  measured,
  MINUTE_MS,
  type ConditionKind,
  type ConditionSpec,
  type KindRecords,
  type Source,
  type Threshold,
} from './spec.ts';

interface Limit {
  readonly value: number;
  readonly unit: string;
  readonly severity?: Threshold['severity'];
  readonly is?: Threshold['is'];
  readonly group?: string;
  readonly source: Source;
}

const limit = (label: string, given: Limit): Threshold => ({
  label,
  is: 'at least',
  severity: 'warning',
  ...given,
});

const CUSTOMARY = fromPage('docs/mission.md');

/** The share of a connection or descriptor limit. */
const ofLimit = (noun: string) =>
  ({
    share: limit(`${noun} in use as a share of the limit`, { value: 0.8, unit: '%', source: CUSTOMARY }),
    criticalShare: limit(`${noun} in use as a share of the limit`, {
      value: 0.95,
      unit: '%',
      severity: 'critical',
      source: CUSTOMARY,
    }),
  }) as const;

const LATEST = { ms: 0, text: 'The latest sample decides; it must hold for 1 min.' } as const;

export const CONDITIONS = {
  'memory-threshold': {
    family: 'condition',
    capturesEvidence: false,
    summary: 'memory use stays above 85 % of a limit for 10 min, or above 70 % while the post-GC heap rises',
    subjectNoun: 'memory limit',
    detector: 'threshold',
    mayBeRuledOut: false,
    explainedBy: 'any leak',
    thresholds: {
      risingShare: limit('use of the heap capacity over the whole window, while the post-GC heap rises', {
        value: 0.7,
        unit: '%',
        source: CUSTOMARY,
      }),
      share: limit('use of the heap capacity or the container limit over the whole window', {
        value: 0.85,
        unit: '%',
        severity: 'critical',
        source: measured(
          'processes died with 0.93 to 0.98 of the heap capacity; V8 collects most of the time above 0.85',
        ),
      }),
    },
    window: {
      ms: 10 * MINUTE_MS,
      text: 'The lowest value of the last 10 min counts, so that a short peak opens no alert.',
    },
    retainedBy: null,
    keepsData: false,
    advice: {
      now: 'Restart one instance at a time if the time to the limit is short. Otherwise raise the limit or add an instance.',
      fix: 'If memory is flat, this is size and not a leak: give the process more memory (`--max-old-space-size`, the container) or fewer connections.',
      restart: null,
    },
    docs: 'docs/leaks/memory-threshold.md',
  },
  exhaustion: {
    family: 'condition',
    capturesEvidence: true,
    summary: 'at its present growth, memory reaches a limit in less than 30 min',
    subjectNoun: 'memory limit',
    detector: 'exhaustion',
    mayBeRuledOut: false,
    explainedBy: 'any leak',
    thresholds: {
      timeToLimit: limit('time to the limit', {
        value: 30 * MINUTE_MS,
        unit: 'ms',
        is: 'less than',
        severity: 'critical',
        source: CUSTOMARY,
      }),
      latestTimeToLimit: limit('upper end of the range of the time to the limit', {
        value: 60 * MINUTE_MS,
        unit: 'ms',
        is: 'less than',
        severity: 'critical',
        source: fromTraces('a wider range means that the growth is not steady'),
      }),
      usedShare: limit('use of the limit', {
        value: 0.7,
        unit: '%',
        severity: 'critical',
        source: fromTraces('below 70 % a cache that is filling looks the same'),
      }),
      duration: limit('duration of the growth relative to the time to the limit', {
        value: 2,
        unit: '1',
        severity: 'critical',
        source: measured('35 min of compiling new code said nothing about the next 30'),
      }),
      latestGc: limit('time since the last major GC, for the heap', {
        value: 15 * MINUTE_MS,
        unit: 'ms',
        is: 'at most',
        severity: 'critical',
        source: measured('an older size says nothing about the present growth'),
      }),
    },
    window: {
      ms: 15 * MINUTE_MS,
      text: 'The trend of the last 15 min, or of the last quarter of the uptime if that is longer, is extended to the limit.',
    },
    retainedBy: null,
    keepsData: true,
    advice: {
      now: 'Restart this instance now: drain its connections, then stop it. Otherwise it dies in the middle of its work.',
      fix: 'Look for an earlier leak alert. If there is none, look for what started when memory began to rise.',
      restart: null,
    },
    docs: 'docs/leaks/exhaustion.md',
  },
  'connection-limit': {
    family: 'condition',
    capturesEvidence: false,
    summary: 'the number of open connections reaches 80 % of its limit',
    subjectNoun: 'connections',
    detector: 'connection-limit',
    mayBeRuledOut: false,
    explainedBy: ['zombie-connections', 'unclosed-growth'],
    thresholds: ofLimit('connections'),
    window: LATEST,
    retainedBy: null,
    keepsData: false,
    advice: {
      now: 'Add an instance, or raise the limit if memory and descriptors allow it.',
      fix: 'Refuse new connections above the limit with close code 1013 (try again later) instead of degrading the service for all clients.',
      restart: 'the connections move to other instances and come back later',
    },
    docs: 'docs/leaks/connection-limit.md',
  },
  'descriptor-limit': {
    family: 'condition',
    capturesEvidence: false,
    summary: 'the number of open file descriptors reaches 80 % of the soft limit',
    subjectNoun: 'descriptors',
    detector: 'descriptor-limit',
    mayBeRuledOut: false,
    explainedBy: ['zombie-connections', 'resource-growth', 'unclosed-growth'],
    thresholds: ofLimit('descriptors'),
    window: LATEST,
    retainedBy: null,
    keepsData: false,
    advice: {
      now: 'Raise the limit for new processes (`ulimit -n`, LimitNOFILE) and restart one instance at a time. At the limit accept() fails for every client.',
      fix: 'If descriptors grow while connections do not, sockets or files stay open: list them with `ls -l /proc/<pid>/fd`.',
      restart:
        'all descriptors are free; if the process does not close them, they run out again after the same time',
    },
    docs: 'docs/leaks/descriptor-limit.md',
  },
  'gc-pressure': {
    family: 'condition',
    capturesEvidence: false,
    summary: 'V8 runs more than 10 major GCs per minute',
    subjectNoun: 'garbage collector',
    detector: 'gc-pressure',
    mayBeRuledOut: false,
    explainedBy: 'any leak',
    thresholds: {
      perMinute: limit('major GCs per minute', {
        value: 10,
        unit: 'major GCs/min',
        is: 'more than',
        source: fromPage(
          'docs/mission.md, for major GCs only: a healthy echo server runs 362 minor GCs per minute',
        ),
      }),
      criticalPerMinute: limit('major GCs per minute', {
        value: 30,
        unit: 'major GCs/min',
        is: 'more than',
        severity: 'critical',
        source: CUSTOMARY,
      }),
    },
    window: { ms: 5 * MINUTE_MS, text: 'The window is 5 min.' },
    retainedBy: null,
    keepsData: false,
    advice: {
      now: 'Take load off this instance. If its memory is near the limit, drain and restart it.',
      fix: 'Allocate less per message (serialise a broadcast once), or give the heap more room: near its limit V8 collects most of the time.',
      restart: null,
    },
    docs: 'docs/leaks/gc-pressure.md',
  },
  'loop-lag': {
    family: 'condition',
    capturesEvidence: false,
    summary: 'the event-loop delay (p99) stays above 500 ms',
    subjectNoun: 'event loop',
    detector: 'loop-lag',
    mayBeRuledOut: false,
    explainedBy: 'any leak',
    thresholds: {
      delay: limit('median of the event-loop delay (p99) in each of three windows', {
        value: 500,
        unit: 'ms',
        is: 'more than',
        source: CUSTOMARY,
      }),
    },
    window: {
      ms: 5 * MINUTE_MS,
      text: 'Three windows of 5 min, one after the other; the delay must be high in each of them.',
    },
    retainedBy: null,
    keepsData: false,
    advice: {
      now: 'Take load off this instance. Each of its clients notices the delay.',
      fix: 'Find the long synchronous work with a profile (`node --cpu-prof`): JSON of large objects, crypto, a sort over all connections.',
      restart: 'the work that runs now has ended; the same work can occur again',
    },
    docs: 'docs/leaks/loop-lag.md',
  },
  'blocked-loop': {
    family: 'condition',
    capturesEvidence: false,
    summary: 'the event loop is blocked: no callback runs',
    subjectNoun: 'event loop',
    detector: null,
    mayBeRuledOut: false,
    explainedBy: [],
    thresholds: {
      silent: limit('time without a heartbeat from the application thread', {
        value: 5_000,
        unit: 'ms',
        severity: 'critical',
        source: measured(
          'the heartbeat comes every second; a snapshot in the process is marked and does not count',
        ),
      }),
    },
    window: null,
    retainedBy: null,
    keepsData: false,
    advice: {
      now: 'The process serves no client. If it does not recover within a minute, restart it. Look at its stack first: `kill -USR1 <pid>` opens the inspector even of a blocked process.',
      fix: 'Look for an endless or very long loop, a regular expression that backtracks, or a synchronous call to something that hangs.',
      restart: 'the work that runs now has ended; the same work can occur again',
    },
    docs: 'docs/leaks/blocked-loop.md',
  },
  'process-died': {
    family: 'condition',
    capturesEvidence: false,
    summary: 'the previous process ended without a shutdown (reported at the next start)',
    subjectNoun: 'process',
    detector: null,
    mayBeRuledOut: false,
    explainedBy: [],
    thresholds: {
      limitShare: limit('use of the heap capacity or the container limit in the last sample', {
        value: 0.85,
        unit: '%',
        severity: 'critical',
        source: measured('above 0.85 of a limit a sudden end is most likely an out-of-memory kill'),
      }),
    },
    window: null,
    retainedBy: null,
    keepsData: false,
    advice: {
      now: 'Nothing to do: the process runs again. Read the last alert of the previous process; it says what memory did.',
      fix: 'After exit code 137 or an `oom_kill` the container was full: compare its limit with `--max-old-space-size` plus 30 % for buffers and stacks.',
      restart: 'nothing changes: this process is already the new one',
    },
    docs: 'docs/leaks/process-died.md',
  },
} as const satisfies KindRecords<ConditionKind, ConditionSpec>;
