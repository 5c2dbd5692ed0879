/** The generated parts of README.md, docs/configuration.md, docs/leaks and docs/schema. In pages they are between markers. */
import {
  ALL_KINDS,
  CONDITIONS,
  CRITICAL_TIME_TO_LIMIT,
  KINDS,
  LEAKS,
  rankOf,
  type Kind,
  type KindSpec,
  type Threshold,
} from '../../src/kinds/index.ts';
import { formatBytes, formatCount, formatDuration, formatShare } from '../../src/core/format.ts';
import { buildReport } from '../../src/report/report.ts';
import { alertText } from '../../src/report/report-text.ts';
import type { Alert, Culprit, Snapshot } from '../../src/types/index.ts';
import { sampleAlert } from './sample-alerts.ts';

export type Blocks = Readonly<Record<string, string>>;

const MARKED = /<!-- generated:([\w-]+) -->\n[^]*?<!-- \/generated -->/g;

/** Replaces the text between `<!-- generated:name -->` and `<!-- /generated -->`; each block must have its place. */
export function fillBlocks(page: string, blocks: Blocks): string {
  const missing = new Set(Object.keys(blocks));
  const text = page.replace(MARKED, (_, name: string) => {
    const block = blocks[name];
    if (block === undefined) throw new Error(`no generated block is called ${name}`);
    missing.delete(name);
    return `<!-- generated:${name} -->\n${block.trim()}\n<!-- /generated -->`;
  });
  if (missing.size > 0) throw new Error(`no marker for ${[...missing].join(', ')}`);
  return text;
}

/** The list of kinds in docs/schema/alert.schema.json; the other lines of the schema are written by hand. */
const KIND_ENUM = /("kind": \{\s+"description": "[^"]*",\s+"enum": \[)[^\]]*\]/;

export function fillKinds(schema: string): string {
  if (!KIND_ENUM.test(schema)) throw new Error('the schema has no list of kinds');
  const kinds = ALL_KINDS.map((kind) => `\n        "${kind}"`).join(',');
  return schema.replace(KIND_ENUM, (_, head: string) => `${head}${kinds}\n      ]`);
}

const capitalise = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

/** `at least 10 entries`, `less than 4 h`. */
export function limitText({ is, value, unit }: Threshold): string {
  return `${is} ${amount(value, unit)}`;
}

function amount(value: number, unit: string): string {
  if (unit === '%') return formatShare(value);
  if (unit === 'ms') return formatDuration(value);
  if (unit === 'By') return roundBytes(value);
  if (unit === 'By/h') return `${roundBytes(value)}/h`;
  return unit === '1' ? formatCount(value) : `${formatCount(value)} ${unit}`;
}

/** Thresholds are round: `32 MiB`. */
const roundBytes = (bytes: number): string => formatBytes(bytes).replace('.0 ', ' ');

const SOURCES: Readonly<Record<Threshold['source']['from'], string>> = {
  measurement: 'measured: ',
  simulation: 'simulated servers: ',
  traces: 'recorded runs: ',
  page: '',
};

/** One row for each quantity; warning and critical limits of the same quantity share it. */
function thresholdTable({ thresholds }: KindSpec): string {
  const rows = new Map<string, { warning: string; critical: string; source: string }>();
  for (const threshold of Object.values<Threshold>(thresholds)) {
    const { label, severity, source } = threshold;
    const row = rows.get(label) ?? { warning: '', critical: '', source: '' };
    row[severity] = limitText(threshold);
    if (row.source === '') row.source = `${SOURCES[source.from]}${source.text}`;
    rows.set(label, row);
  }
  return table(
    ['quantity', 'warning', 'critical', 'source'],
    [...rows].map(([label, { warning, critical, source }]) => [label, warning, critical, linked(source)]),
  );
}

/** Pages are linked as seen from docs/leaks. */
const linked = (text: string): string =>
  text.replace(/docs\/([\w-]+)\.md/g, (_, page: string) => `[${page}](../${page}.md)`);

/** The generated blocks of docs/leaks/<kind>.md. */
export function leakBlocks(kind: Kind): Blocks {
  const spec: KindSpec = KINDS[kind];
  const { advice, window, retainedBy } = spec;
  const { alert, origin } = sampleAlert(kind);
  const report = buildReport({ alert, points: [], analysis: null, dir: '/srv/chat/.wsguard' });
  return {
    summary: [
      `**${capitalise(spec.summary)}.**`,
      `This is a ${spec.family === 'leak' ? 'leak' : 'condition, not a leak'}. ${detectorText(spec)}`,
    ].join('\n\n'),
    thresholds: [thresholdTable(spec), ...(window === null ? [] : [window.text])].join('\n\n'),
    alert: `The start of the report (\`report.txt\`) for ${origin}:\n\n\`\`\`text\n${alertText(report)}\`\`\``,
    advice: [
      `**Tonight.** ${advice.now}`,
      `**Then.** ${advice.fix}`,
      ...(advice.restart === null ? [] : [`**After a restart.** ${capitalise(advice.restart)}.`]),
      ...(retainedBy === null ? [] : [`**Usual root cause.** ${capitalise(retainedBy.text)}.`]),
    ].join('\n\n'),
  };
}

const detectorText = ({ detector }: KindSpec): string =>
  detector === null
    ? 'It is an event, so no detector in `agent.status()` lists it.'
    : `Its detector is called \`${detector}\` in \`agent.status()\`.`;

/** The blocks of docs/detection.md. */
export function detectionBlocks(): Blocks {
  const ranked = ALL_KINDS.filter((kind) => KINDS[kind].family === 'leak').toSorted(
    (a, b) => rankOf(a) - rankOf(b),
  );
  return {
    'counts-window': KINDS['registry-growth'].window?.text ?? '',
    ranking: ranked.map((kind, index) => `${index + 1}. [${kind}](leaks/${kind}.md)`).join('\n'),
  };
}

const SNAPSHOT: Snapshot = {
  outcome: 'written',
  file: '/srv/chat/.wsguard/a1b2c3/heap-1795341600000-2.heapsnapshot',
  method: 'inprocess',
  pauseMs: 464,
  bytes: 8_808_038,
  redacted: true,
};
const ROOT_CAUSE: Culprit = {
  text: '`context.registry` in server.js:41 retains every connection',
  name: 'context.registry',
  file: '/srv/chat/server.js',
  line: 41,
  function: 'onConnection',
  package: null,
  confidence: 0.9,
};

/** The example in docs/alerts.md: a real alert, with a snapshot and a root cause as an investigation adds them. */
export function alertExample(): Blocks {
  const { culpritBecause: _, ...opened } = sampleAlert('registry-growth').alert;
  const updated: Alert = {
    ...opened,
    event: 'updated',
    n: 1,
    culprit: ROOT_CAUSE,
    snapshots: [SNAPSHOT],
    report: `${opened.id}/report.json`,
  };
  const fields = Object.entries(updated).map(([name, value]: [string, unknown]) =>
    Array.isArray(value) && value.length > 0
      ? `  "${name}": [\n${value.map((item) => `    ${JSON.stringify(item)}`).join(',\n')}\n  ]`
      : `  "${name}": ${JSON.stringify(value)}`,
  );
  return { alert: `\`\`\`json\n{\n${fields.join(',\n')}\n}\n\`\`\`` };
}

/** README's table of kinds. */
export const kindTable = (): string =>
  (['leak', 'condition'] as const)
    .map((family) =>
      table(
        [family === 'leak' ? 'kind of leak' : 'condition', 'what it means'],
        ALL_KINDS.filter((kind) => KINDS[kind].family === family).map((kind) => [
          `[\`${kind}\`](${KINDS[kind].docs})`,
          KINDS[kind].summary,
        ]),
      ),
    )
    .join('\n\n');

const first = (threshold: Threshold): string => amount(threshold.value, threshold.unit);

/** The table of docs/configuration.md: the limits that correspond to the customary figures of docs/mission.md. */
export function customaryTable(): string {
  const { 'listener-accumulation': listeners, 'zombie-connections': zombies, 'queue-growth': queues } = LEAKS;
  const { 'slow-consumer': backlog, 'external-buffers': external, 'heap-growth': heap } = LEAKS;
  const { 'native-or-compression': native, 'registry-growth': registries } = LEAKS;
  const { 'connection-limit': connections, 'gc-pressure': gc, 'loop-lag': loop } = CONDITIONS;
  const { 'memory-threshold': memory, exhaustion } = CONDITIONS;
  const rows: readonly (readonly [string, string, string, string])[] = [
    [
      'listeners per connection',
      first(listeners.thresholds.perConnection),
      first(listeners.thresholds.criticalPerConnection),
      `kept; ${first(listeners.thresholds.leakedPerClosed)} leaked listeners per closed connection are enough too`,
    ],
    [
      'connections or descriptors, share of their limit',
      first(connections.thresholds.share),
      first(connections.thresholds.criticalShare),
      'kept',
    ],
    [
      'major GCs per minute',
      formatCount(gc.thresholds.perMinute.value),
      formatCount(gc.thresholds.criticalPerMinute.value),
      'kept for major GCs only: a healthy server runs hundreds of minor ones',
    ],
    [
      'memory for 10 min, share of its limit',
      `${first(memory.thresholds.risingShare)} and rising`,
      first(memory.thresholds.share),
      'kept, as a share of the heap capacity: 7 of 7 processes died before they reached 80 % of `heap_size_limit`',
    ],
    [
      'growth of the post-GC heap',
      first(heap.thresholds.growth),
      first(heap.thresholds.criticalGrowth),
      'kept for the severity only: comparing two values of `heapUsed` raised alerts on 17 of 24 healthy servers',
    ],
    ['event-loop delay (p99) for 15 min', first(loop.thresholds.delay), '', 'kept'],
    [
      'rise of the unresponsive connections',
      `${formatCount(zombies.thresholds.rise.value)}, ${first(zombies.thresholds.riseShare)} of the mean and ${first(zombies.thresholds.openShare)} of the open connections`,
      '',
      'replaced: "memory up, connections flat" misses zombie connections, because the server counts them, and raised alerts on 21 to 24 of 24 healthy servers',
    ],
    [
      'rise of registries, rooms, listeners, retained connections',
      `${formatCount(registries.thresholds.rise.value)} and ${first(registries.thresholds.riseShare)} of the mean connections`,
      '',
      'measured',
    ],
    ['rise of a queue', first(queues.thresholds.rise), '', 'measured'],
    ['rise of the pending writes', first(backlog.thresholds.rise), '', 'measured'],
    [
      'rise of Buffers in 30 min',
      `${first(external.thresholds.fastShare)} of the memory limit or ${first(external.thresholds.fastBytes)}`,
      '',
      'measured',
    ],
    [
      'rise of RSS beyond heap and Buffers in 60 min',
      `${first(native.thresholds.minBytes)} and ${first(native.thresholds.riseShare)} of the memory limit`,
      '',
      'measured',
    ],
    [
      'time to the limit of any leak',
      '',
      first(CRITICAL_TIME_TO_LIMIT),
      `measured; below ${first(exhaustion.thresholds.timeToLimit)} the alert \`exhaustion\` opens`,
    ],
  ];
  return table(['measure', 'warning', 'critical', 'customary figure'], rows);
}
