import { analysisText } from '../../../src/report/analysis-text.ts';
import { connectionsServed, snapshotTimeMs } from '../../../src/report/connection-counts.ts';
import { retainingPathLines, sharedBytesText } from '../../../src/report/retaining-path.ts';
import { reportPoint } from '../../support/alerts.ts';
import { analysisOf, suspectOf } from '../../support/analyses.ts';

const stepAt = (index: number, firstSuspect: number) => ({
  text: `.field${index}`,
  is: 'Session',
  state: index < firstSuspect ? ('not-leaking' as const) : ('leaking' as const),
  because: null,
  isSuspect: index === firstSuspect,
});
const path = (length: number, firstSuspect: number) =>
  Array.from({ length }, (_, index) => stepAt(index, firstSuspect));

test('a suspect has its growth, code, path, entries and confidence', () => {
  const suspect = suspectOf({
    containers: 3,
    maker: { file: '/srv/app/session.js', line: 9, function: null },
  });
  const text = analysisText(analysisOf({ suspects: [suspect] }));
  for (const line of [
    '1. server.rooms (Map): +1,912 WebSocket, 45.8 MiB retained, in 3 containers of the same kind',
    '   code: /srv/app/connections.js:41 onConnection',
    '   path: server.rooms.get("lobby").members',
    '   entries created at: /srv/app/session.js:9',
    '   example entry: { id: string }',
    '   also retained by bus._events.message: memory is freed only when all of them release it',
    '   confidence: 92 %',
  ])
    expect(text.split('\n')).toContain(line);
});

test('the text lists ten suspects and counts the others', () => {
  const suspects = Array.from({ length: 12 }, (_, index) => suspectOf({ rank: index + 1 }));
  const text = analysisText(analysisOf({ suspects }));
  expect(text).toContain('\n10. server.rooms');
  expect(text).not.toContain('\n11. server.rooms');
  expect(text).toContain('2 more suspects: see --json');
});

test('largest retainers and memory outside the heap have their own sections', () => {
  const holder = { ...suspectOf(), share: 0.25 };
  const external = [{ name: 'ArrayBuffer', objects: 4, bytes: 4096, growth: { objects: 2, bytes: 2048 } }];
  const text = analysisText(analysisOf({ suspects: [], holders: [holder], external }));
  expect(text).toContain(
    'Largest retainers\n  45.8 MiB (25 %) server.rooms (Map), 2,500 entries, path: server',
  );
  expect(text).toContain('Outside the JavaScript heap\n  ArrayBuffer: 4 objects (+2), 4.0 KiB (+2.0 KiB)');
});

test('a long path is cut to ten steps around the first suspect reference', () => {
  expect(retainingPathLines(path(5, 99))).toEqual([]);
  const lines = retainingPathLines(path(30, 20));
  expect(lines.filter((line) => line.includes('.field'))).toHaveLength(10);
  expect(lines.filter((line) => line.includes('…'))).toHaveLength(2);
  expect(lines).toContain('     ~~> .field20 (Session): leaking');
  expect(retainingPathLines(path(3, 2)).filter((line) => line.includes('…'))).toEqual([]);
});

test('shared bytes name every suspect that must release them', () => {
  const bus = { rank: 2, name: 'bus' };
  expect(sharedBytesText({ with: [bus], bytes: 2048 })).toMatch(
    /bus \(suspect 2\) .* when both release them$/,
  );
  expect(sharedBytesText({ with: [bus, { rank: 3, name: 'timers' }], bytes: 2048 })).toBe(
    '2.0 KiB are shared with bus (suspect 2) and timers (suspect 3) and are freed only when all 3 release them',
  );
});

test('connections between two snapshots need a point near each of them', () => {
  const startMs = 1_795_337_736_734;
  const point = (ms: number, opened: number) =>
    reportPoint({ wallMs: startMs + ms, opened, closed: opened - 1 });
  const files = [`heap-${startMs}-1.heapsnapshot`, `heap-${startMs + 300_000}-2.heapsnapshot`];
  expect(files.map(snapshotTimeMs)).toEqual([startMs, startMs + 300_000]);
  expect(connectionsServed([point(0, 100), point(290_000, 380)], files)).toEqual({
    opened: 280,
    closed: 280,
  });
  expect(connectionsServed([point(0, 100), point(200_000, 380)], files)).toBeNull();
  expect(connectionsServed([point(0, 380), point(290_000, 100)], files)).toBeNull();
  const closeTogether = Array.from({ length: 241 }, (_, i) => point(50_000 + 250 * i, 100 + i));
  expect(connectionsServed(closeTogether, [files[0]!, `heap-${startMs + 60_000}-2.heapsnapshot`])).toBeNull();
  expect(connectionsServed([point(0, 100)], ['other.heapsnapshot', files[1]!])).toBeNull();
});
