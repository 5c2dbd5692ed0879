/** The schemas in docs/schema describe every field of the types, accept real values and refuse wrong ones. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { analyseFiles } from '../../../src/analyse/index.ts';
import { buildReport } from '../../../src/report/report.ts';
import { ALL_KINDS } from '../../../src/kinds/index.ts';
import type {
  Alert,
  Analysis,
  Culprit,
  Evidence,
  RetainingStep,
  Report,
  ReportPoint,
  Suspect,
  SuspectType,
} from '../../../src/types/index.ts';
import { alertOf, reportPoint } from '../../support/alerts.ts';
import { analysisOf, classRow, suspectOf } from '../../support/analyses.ts';
import { HeapSnapshotBuilder } from '../../support/heap-snapshot-builder.ts';
import { HOUR, MINUTE, sampleAt, createTestDetection } from '../../support/run.ts';
import { sampleAlert } from '../../tools/sample-alerts.ts';
import { readSchema, SCHEMA_NAMES, schemaErrors, type SchemaName } from '../../support/schemas.ts';

type Json = Record<string, unknown>;
const at = (schema: Json, ...path: readonly string[]): Json =>
  path.reduce<Json>((node, key) => (node[key] ?? {}) as Json, schema);
const fieldsAt = (name: SchemaName, ...path: readonly string[]): string[] =>
  Object.keys(at(readSchema(name), ...path, 'properties')).toSorted();

/** Each list is exhaustive by its type: a new field does not compile until it is here, and fails until it is described. */
const ALERT: Record<keyof Alert, true> = {
  schema: true,
  event: true,
  id: true,
  fingerprint: true,
  kind: true,
  family: true,
  severity: true,
  at: true,
  service: true,
  serviceVersion: true,
  instance: true,
  host: true,
  pid: true,
  worker: true,
  agentVersion: true,
  nodeVersion: true,
  uptimeMs: true,
  subject: true,
  title: true,
  evidence: true,
  against: true,
  also: true,
  culprit: true,
  culpritBecause: true,
  alsoMore: true,
  because: true,
  timeToLimit: true,
  advice: true,
  docs: true,
  snapshots: true,
  report: true,
  n: true,
  timeScale: true,
  muted: true,
};
const CULPRIT: Record<keyof Culprit, true> = {
  text: true,
  name: true,
  file: true,
  line: true,
  column: true,
  function: true,
  package: true,
  through: true,
  confidence: true,
};
const EVIDENCE: Record<keyof Evidence, true> = {
  name: true,
  value: true,
  unit: true,
  threshold: true,
  windowMs: true,
};
const ANALYSIS: Record<keyof Analysis, true> = {
  schema: true,
  snapshots: true,
  suspects: true,
  growing: true,
  clean: true,
  because: true,
  matchedBy: true,
  holders: true,
  classes: true,
  external: true,
  connections: true,
  served: true,
};
const SUSPECT: Record<keyof Suspect, true> = {
  rank: true,
  name: true,
  type: true,
  path: true,
  location: true,
  through: true,
  maker: true,
  objects: true,
  retainedBytes: true,
  growth: true,
  confidence: true,
  containers: true,
  entries: true,
  example: true,
  otherRetainers: true,
  notes: true,
  known: true,
  steps: true,
  shared: true,
};
const STEP: Record<keyof RetainingStep, true> = {
  text: true,
  is: true,
  state: true,
  because: true,
  isSuspect: true,
};
const REPORT: Record<keyof Report, true> = {
  schema: true,
  alert: true,
  headline: true,
  samples: true,
  analysis: true,
  notes: true,
};
const POINT: Record<keyof ReportPoint, true> = {
  wallMs: true,
  heapUsedBytes: true,
  floorBytes: true,
  rssBytes: true,
  externalBytes: true,
  connections: true,
  unanswering: true,
  opened: true,
  closed: true,
};
const SUSPECT_TYPES: Record<SuspectType, true> = {
  Map: true,
  Set: true,
  Array: true,
  Object: true,
  Listeners: true,
  Timers: true,
  Promises: true,
  List: true,
  Context: true,
  Handles: true,
  ArrayBuffers: true,
  Native: true,
  Strings: true,
};

test.each<[SchemaName, readonly string[], Record<string, true>]>([
  ['alert', [], ALERT],
  ['alert', ['$defs', 'culprit'], CULPRIT],
  ['alert', ['$defs', 'evidence'], EVIDENCE],
  ['analysis', [], ANALYSIS],
  ['analysis', ['$defs', 'suspect'], SUSPECT],
  ['analysis', ['$defs', 'step'], STEP],
  ['report', [], REPORT],
  ['report', ['properties', 'samples', 'items'], POINT],
])('%s.schema.json %j has the fields of its type', (name, path, fields) => {
  expect(fieldsAt(name, ...path)).toEqual(Object.keys(fields).toSorted());
});

test('the schemas know the kinds and the types of containers', () => {
  expect(at(readSchema('alert'), '$defs', 'kind')['enum']).toEqual([...ALL_KINDS]);
  const types = at(readSchema('analysis'), '$defs', 'suspect', 'properties', 'type')['enum'] as string[];
  expect(types.toSorted()).toEqual(Object.keys(SUSPECT_TYPES).toSorted());
});

/** Properties that neither have a description nor refer to a definition that has one. */
function undescribed(node: unknown, path: string): string[] {
  if (typeof node !== 'object' || node === null) return [];
  const properties = (node as Json)['properties'];
  const missing = Object.entries((properties ?? {}) as Json).flatMap(([name, value]) => {
    const { description, $ref, ...rest } = value as Json;
    // A property under `if` only selects a branch.
    if (path.endsWith('/if') && Object.keys(rest).join() === 'const') return [];
    return typeof description === 'string' || typeof $ref === 'string' ? [] : [`${path}/${name}`];
  });
  return [
    ...missing,
    ...Object.entries(node as Json).flatMap(([key, value]) => undescribed(value, `${path}/${key}`)),
  ];
}

test.each(SCHEMA_NAMES.map((name) => [name]))('%s.schema.json describes every field', (name) => {
  expect(undescribed(readSchema(name), name)).toEqual([]);
});

/** A leaking registry, from its first sample until the alert closes. */
function alertLines(): Alert[] {
  const detection = createTestDetection();
  const lines: Alert[] = [];
  for (let seq = 0; seq * MINUTE < 5 * HOUR; seq += 1) {
    const entries = seq < 120 ? 100 + seq * 8 : 0;
    const registries = [{ name: 'sessions', entries, source: 'app' as const }];
    lines.push(...detection.addSample(sampleAt(seq, seq * MINUTE, { more: { registries } })).transitions);
  }
  return lines;
}

describe('a real alert', () => {
  const lines = alertLines();

  test('is valid in every state', () => {
    expect(lines[0]).toMatchObject({ event: 'opened', kind: 'registry-growth' });
    expect(lines.at(-1)).toMatchObject({ event: 'closed' });
    for (const line of lines) expect(schemaErrors('alert', line)).toEqual([]);
  });

  test.each<[string, (alert: Json) => Json, RegExp]>([
    ['an unknown kind', (alert) => ({ ...alert, kind: 'leak' }), /^\/kind /],
    ['a number as text', (alert) => ({ ...alert, pid: '1' }), /^\/pid must be integer/],
    ['a missing field', (alert) => ({ ...alert, title: undefined }), /title/],
    ['no evidence', (alert) => ({ ...alert, evidence: [] }), /^\/evidence /],
    ['evidence without a unit', (alert) => ({ ...alert, evidence: [{ name: 'a', value: 1 }] }), /unit/],
    [
      'a closed alert without a reason',
      (alert) => ({ ...alert, event: 'closed', because: undefined }),
      /because/,
    ],
    [
      'an unknown outcome',
      (alert) => ({ ...alert, snapshots: [{ outcome: 'kept' }] }),
      /^\/snapshots\/0\/outcome/,
    ],
    [
      'a written snapshot without its file',
      (alert) => ({ ...alert, snapshots: [{ outcome: 'written' }] }),
      /file/,
    ],
    ['a date that is none', (alert) => ({ ...alert, at: 'yesterday' }), /^\/at /],
  ])('%s is refused', (_, change, expected) => {
    const errors = schemaErrors('alert', change({ ...lines[0] }));
    expect(errors.some((error) => expected.test(error))).toBe(true);
  });

  test('a field of a later version is accepted', () => {
    expect(schemaErrors('alert', { ...lines[0], later: 1 })).toEqual([]);
  });

  test('its report is valid, with and without an analysis', () => {
    const points = [reportPoint()];
    const analysis = analysisOf({ suspects: [suspectOf()], classes: [classRow('Session')] });
    for (const each of [null, analysis]) {
      const report = buildReport({
        alert: lines[0] ?? alertOf(),
        points,
        analysis: each,
        dir: '/srv/wsguard',
      });
      expect(schemaErrors('report', report)).toEqual([]);
      expect(schemaErrors('report', { ...report, headline: undefined })).not.toEqual([]);
      expect(schemaErrors('report', { ...report, alert: { ...report.alert, kind: 'x' } })).not.toEqual([]);
    }
  });
});

test.each(ALL_KINDS.map((kind) => [kind]))('a real alert of kind %s is valid', (kind) => {
  expect(schemaErrors('alert', sampleAlert(kind).alert)).toEqual([]);
});

test('a real analysis is valid, and a wrong one is refused', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'wsguard-schemas-'));
  try {
    const file = join(folder, 'a.heapsnapshot');
    const builder = new HeapSnapshotBuilder();
    const root = builder.node('synthetic', '');
    const sessions = builder.node('object', 'Sessions');
    builder.edge(root, 'property', 'sessions', sessions);
    for (let count = 0; count < 50; count += 1)
      builder.edge(sessions, 'property', `s${count}`, builder.node('object', 'Session'));
    writeFileSync(file, builder.toBuffer());
    const analysis = await analyseFiles([file]);
    expect(schemaErrors('analysis', analysis)).toEqual([]);
    expect(schemaErrors('analysis', { ...analysis, clean: 'no' })).not.toEqual([]);
    const suspect = { ...suspectOf(), type: 'Cupboard' };
    expect(schemaErrors('analysis', { ...analysis, suspects: [suspect] })).not.toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the example in docs/alerts.md is valid', () => {
  const page = readFileSync(join(__dirname, '..', '..', '..', 'docs', 'alerts.md'), 'utf8');
  const [, text = ''] = /^```json\n([^]*?)^```$/m.exec(page) ?? [];
  expect(schemaErrors('alert', JSON.parse(text))).toEqual([]);
});
