import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  adviceText,
  ALL_KINDS,
  capturesEvidence,
  isKind,
  isLeakKind,
  KINDS,
  LEAK_KINDS,
  rankOf,
} from '../../../src/kinds/index.ts';

const ROOT = join(__dirname, '..', '..', '..');

test('the list by rank has each leak kind once; conditions come after them', () => {
  const ranks = LEAK_KINDS.map(rankOf).toSorted((a, b) => a - b);
  expect(ranks).toEqual(LEAK_KINDS.map((_, i) => i));
  expect(rankOf('exhaustion')).toBe(LEAK_KINDS.length);
});

test('counted kinds are more specific than kinds that are derived from memory', () => {
  expect(rankOf('zombie-connections')).toBeLessThan(rankOf('heap-growth'));
  expect(rankOf('heap-growth')).toBeLessThan(rankOf('divergence'));
});

test('leaks and exhaustion capture evidence, other conditions do not', () => {
  expect(ALL_KINDS.filter((kind) => capturesEvidence(kind) !== isLeakKind(kind))).toEqual(['exhaustion']);
});

test('isKind refuses names of the prototype and other types', () => {
  expect(['heap-growth', 'toString', 'nonsense', 4, null].map(isKind)).toEqual([
    true,
    false,
    false,
    false,
    false,
  ]);
});

test.each(ALL_KINDS.map((kind) => [kind, KINDS[kind]] as const))('%s: its record is usable', (kind, spec) => {
  expect(existsSync(join(ROOT, spec.docs))).toBe(true);
  expect(adviceText({ kind, snapshots: [] })).toMatch(/\. Then: .+\.$/);
  expect(spec.summary).toMatch(/^\S.*[^.]$/);
  for (const { label, value, source } of Object.values(spec.thresholds)) {
    expect(label).not.toBe('');
    expect(value).toBeGreaterThan(0);
    expect(source.text).not.toBe('');
  }
});

describe('advice', () => {
  const mentionsSnapshot = /\b(?:the|heap|second) snapshots?\b|wsguard analyse/;
  const written = { outcome: 'written' } as const;
  const refused = { outcome: 'refused' } as const;

  test.each(ALL_KINDS)('%s sends nobody to a snapshot that was refused', (kind) => {
    expect(adviceText({ kind, snapshots: [refused, { outcome: 'failed' }] })).not.toMatch(mentionsSnapshot);
  });

  test('names the snapshot where there is one, or none was requested yet', () => {
    for (const snapshots of [[], [written], [written, refused]])
      expect(adviceText({ kind: 'heap-growth', snapshots })).toMatch(mentionsSnapshot);
  });
});

test('a share is a number from 0 to 1', () => {
  const shares = ALL_KINDS.flatMap((kind) => Object.values(KINDS[kind].thresholds)).filter(
    ({ unit }) => unit === '%',
  );
  expect(shares.length).toBeGreaterThan(10);
  expect(shares.filter(({ value }) => value > 1)).toEqual([]);
});

test('a critical threshold is stricter than the warning of the same quantity', () => {
  const { perConnection, criticalPerConnection } = KINDS['listener-accumulation'].thresholds;
  expect(criticalPerConnection?.value).toBeGreaterThan(perConnection?.value ?? Infinity);
});
