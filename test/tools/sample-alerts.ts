/** One alert of each kind from the real detectors: over a recorded run where one shows the kind, else a simulated one. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { createTraceReader, readSampleLine } from '../../src/cli/trace-sample.ts';
import { createDetection } from '../../src/detection.ts';
import { inScaledTime } from '../../src/detect/sample-row.ts';
import type { Kind } from '../../src/kinds/index.ts';
import type { Alert, Identity } from '../../src/types/index.ts';
import { run, sampleAt, MINUTE, type Shape } from '../support/run.ts';

export interface SampleAlert {
  readonly alert: Alert;
  /** The run that it comes from, as the end of a sentence. */
  readonly origin: string;
}

const TRACES = join(__dirname, '..', '..', 'fixtures', 'traces');
const START_MS = Date.UTC(2026, 10, 22, 2);
/** One second of a recording stands for a minute. */
const TRACE_TIME_SCALE = 60;
const IDENTITY: Identity = {
  service: 'chat',
  serviceVersion: '1.0.0',
  instance: 'chat-1',
  host: 'web-3',
  pid: 4711,
  worker: null,
  agentVersion: '0.1.0',
  nodeVersion: '20.20.2',
};

/** Recordings whose alert of this kind is typical. `preload`: written by the agent itself, nothing was registered. */
const RECORDINGS: Partial<Record<Kind, string>> = {
  'zombie-connections': 'L01.csv.gz',
  'slow-consumer': 'recorded/RL12.csv.gz',
  'listener-accumulation': 'preload/PL15.ndjson.gz',
  'registry-growth': 'preload/PL02.ndjson.gz',
  'room-growth': 'preload/PL17.ndjson.gz',
  'queue-growth': 'preload/PL18.ndjson.gz',
  'retained-after-close': 'preload/PL19.ndjson.gz',
  'external-buffers': 'recorded/RL22.csv.gz',
  'heap-growth': 'L18.csv.gz',
  divergence: 'recorded/RL19.csv.gz',
};

interface Simulation {
  readonly minutes: number;
  readonly shape: (minute: number) => Shape;
  readonly maxConnections?: number;
  readonly text: string;
}

/** Servers for the kinds that no recording shows. */
const SIMULATIONS: Partial<Record<Kind, Simulation>> = {
  'resource-growth': {
    minutes: 60,
    shape: (minute) => {
      // The connections that close in a minute vary; one in eight closes its timer.
      const row = Math.round(2 * minute);
      const closed = 6 * row + ((row * 37) % 11);
      const connections = 120 + ((row * 53) % 17);
      return {
        connections,
        closed,
        opened: connections + closed,
        more: { resources: { timer: 4 + connections + closed - Math.floor(closed / 8) } },
      };
    },
    text: 'a simulated server that starts an interval for each connection and clears one in eight',
  },
  'unclosed-growth': {
    minutes: 370,
    shape: (minute) => {
      const closed = Math.floor(minute / 10);
      return { connections: 100 + 5 * minute, closed, opened: 100 + 5 * minute + closed };
    },
    text: 'a simulated server on which 5 connections open per minute and almost none closes',
  },
  'native-or-compression': {
    minutes: 70,
    shape: (minute) => ({
      rssMb: 110 + 3 * minute,
      containerMb: 512,
      ...(minute % 10 === 0 ? { floorMb: 40 } : {}),
    }),
    text: 'a simulated server whose RSS grows by 3 MiB per minute in a container of 512 MiB',
  },
  'memory-threshold': {
    minutes: 30,
    shape: () => ({ floorMb: 450, oldMb: 460 }),
    text: 'a simulated server with 460 MiB of old space and a heap capacity of 512 MiB',
  },
  exhaustion: {
    minutes: 30,
    shape: (minute) => ({
      connections: 300 + 50 * (minute % 7),
      ...(minute % 5 === 0 ? { floorMb: 280 + 5 * minute } : {}),
    }),
    text: 'a simulated server whose post-GC heap grows by 5 MiB per minute and has a capacity of 512 MiB',
  },
  'connection-limit': {
    minutes: 5,
    shape: () => ({ connections: 850 }),
    maxConnections: 1000,
    text: 'a simulated server with `WSGUARD_MAX_CONNECTIONS=1000`',
  },
  'descriptor-limit': {
    minutes: 5,
    shape: () => ({ more: { descriptors: { open: 900, limit: 1024 } } }),
    text: 'a simulated server with a soft limit of 1,024 descriptors',
  },
  'gc-pressure': {
    minutes: 10,
    shape: (minute) => ({ majors: Math.floor(minute * 14) }),
    text: 'a simulated server with 14 major GCs per minute',
  },
  'loop-lag': {
    minutes: 20,
    shape: () => ({ p99: 640 }),
    text: 'a simulated server whose event loop is 640 ms late',
  },
};

const detectionOf = (maxConnections: number | null = null) =>
  createDetection({
    identity: IDENTITY,
    config: { timeScale: 1, mute: [], maxConnections },
    newId: () => 'a1b2c3',
  });

export function sampleAlert(kind: Kind): SampleAlert {
  const file = RECORDINGS[kind];
  if (file !== undefined) return fromRecording(kind, file);
  const simulation = SIMULATIONS[kind];
  if (simulation !== undefined) return fromSimulation(kind, simulation);
  if (kind === 'blocked-loop') return blockedLoop();
  if (kind === 'process-died') return processDied();
  throw new Error(`no run shows ${kind}: add a recording or a simulation`);
}

/** Reads only as many rows as the alert needs. */
function fromRecording(kind: Kind, file: string): SampleAlert {
  const lines = gunzipSync(readFileSync(join(TRACES, file)))
    .toString()
    .trimEnd()
    .split('\n');
  const options = { signals: 'all', memoryLimitBytes: null } as const;
  const readLine = file.endsWith('.ndjson.gz')
    ? (line: string) => readSampleLine(line, options)
    : createTraceReader(lines.shift() ?? '', options);
  const detection = detectionOf();
  for (const line of lines) {
    const sample = readLine(line);
    if (sample === null) continue;
    const scaled = inScaledTime(sample, TRACE_TIME_SCALE);
    const { transitions } = detection.addSample({ ...scaled, wallMs: START_MS + scaled.atMs });
    const alert = transitions.find((transition) => transition.kind === kind);
    if (alert !== undefined) return { alert, origin: `the recorded run \`fixtures/traces/${file}\`` };
  }
  throw new Error(`${file} gives no alert of kind ${kind}`);
}

function fromSimulation(kind: Kind, { minutes, shape, maxConnections, text }: Simulation): SampleAlert {
  const { transitions } = run(minutes, shape, { detection: detectionOf(maxConnections) });
  const alert = transitions.find((transition) => transition.kind === kind);
  if (alert === undefined) throw new Error(`the simulation of ${kind} gives no alert`);
  return { alert, origin: text };
}

function blockedLoop(): SampleAlert {
  const detection = detectionOf();
  run(30, () => ({}), { detection });
  const [alert] = detection.checkHeartbeat(5_000, START_MS);
  if (alert === undefined) throw new Error('a silent heartbeat gives no alert');
  return { alert, origin: 'a simulated server whose heartbeat stops for 5 s' };
}

function processDied(): SampleAlert {
  const samples = Array.from({ length: 60 }, (_, minute) =>
    sampleAt(minute, minute * MINUTE, { oldMb: 100 + 6.5 * minute }),
  );
  const owner = { identity: { ...IDENTITY, pid: 4242 }, startedWallMs: 0, bootId: null, startTicks: null };
  const next = sampleAt(0, samples.length * MINUTE, {});
  const detection = detectionOf();
  run(0, () => ({}), { detection });
  const [alert] = detection.reportCrash({ owner, samples, lastMinute: [], openAlerts: [] }, next);
  if (alert === undefined) throw new Error('the samples of a dead process give no alert');
  return { alert, origin: 'the black box of a simulated process whose old space grew until it ended' };
}
