import { isMuted } from '../../../src/alert/fingerprint.ts';
import { ALL_KINDS, KINDS, adviceText } from '../../../src/kinds/index.ts';
import { buildReport } from '../../../src/report/report.ts';
import { reportHtml } from '../../../src/report/html/report-html.ts';
import { reportText } from '../../../src/report/report-text.ts';
import type { Alert, ReportPoint } from '../../../src/types/index.ts';
import { alertOf, reportPoint } from '../../support/alerts.ts';
import { analysisWith, clientsSuspect } from '../../support/analyses.ts';

const report = (more: Partial<Alert> = {}, points: ReportPoint[] = []) =>
  buildReport({ alert: alertOf(more), points, analysis: null, dir: '/app/wsguard' });

test('the headline: what, time left, effect of a restart, what to do now, which file to copy', () => {
  const text = reportText(
    report({
      snapshots: [
        {
          outcome: 'written',
          file: '/app/wsguard/a1/1.heapsnapshot',
          method: 'fork',
          pauseMs: 9,
          bytes: 2_040_109_466,
          redacted: true,
        },
      ],
    }),
  );
  expect(text.split('\n').slice(0, 6)).toEqual([
    'What: 1,912 of 2,410 connections do not reply to pings (zombie-connections, warning). Root cause: `clients` in server.js:41 keeps every connection',
    'Time left: the process reaches 85 % of the heap capacity in about 42 min (30 to 65)',
    'After a restart: at the same load the process is back at this point after 6 h, and the memory limit after 6 h 42 min',
    `Now: ${KINDS['zombie-connections'].advice.now}`,
    'File: scp web-3:/app/wsguard/a1/1.heapsnapshot . (1.9 GiB, strings masked); then npx -p @wsguard/agent wsguard analyse 1.heapsnapshot',
    '',
  ]);
});

test('a refused snapshot is reported with its reason and its bytes', () => {
  const { headline } = report({
    snapshots: [{ outcome: 'refused', reason: 'too little memory', needBytes: 2 ** 30, haveBytes: 2 ** 28 }],
  });
  expect(headline[4]).toBe(
    'File: snapshot refused: too little memory, needs 1.0 GiB, 256 MiB available. Report: /app/wsguard/a1b2c3/report.json on web-3',
  );
});

test('a closed alert gives the reason', () => {
  const { headline } = report({ event: 'closed', because: 'has not grown for 60 min' });
  expect(headline[0]).toMatch(/\(zombie-connections\)\. Closed: has not grown for 60 min$/);
});

test('without an estimate the time left says why', () => {
  expect(report({ timeToLimit: null }).headline[1]).toMatch(/^Time left: no estimate/);
});

test('a snapshot that is not redacted has a warning', () => {
  const snapshots: Alert['snapshots'] = [
    { outcome: 'written', file: '/x', method: 'inprocess', pauseMs: 900, bytes: 10, redacted: false },
  ];
  expect(report({ snapshots }).headline[4]).toContain('NOT masked: it contains secrets in clear text');
});

test('a scaled run has a note', () => {
  expect(report({ timeScale: 60 }).notes[0]).toContain('WSGUARD_TIME_SCALE is 60');
  expect(report().notes).toEqual([]);
});

test('report.txt has evidence, ruled-out kinds, suspects, at most 12 rows of samples, and the process', () => {
  const points = Array.from({ length: 100 }, (_, i) => ({
    wallMs: Date.UTC(2026, 10, 22, 2, i % 60),
    heapUsedBytes: i * 1e6,
    floorBytes: null,
    rssBytes: 1e8,
    externalBytes: 1e6,
    connections: 500,
    unanswering: i,
  }));
  const built = buildReport({
    alert: alertOf(),
    points,
    dir: '/d',
    analysis: {
      ...analysisWith(
        clientsSuspect({
          objects: 1912,
          retainedBytes: 80 * 1024 * 1024,
          growth: { objects: 900, bytes: 1024 },
        }),
      ),
      because: 'clients gained 900 entries',
    },
  });
  const text = reportText(built);
  expect(text).toContain(
    'wsguard_connections_unanswering: 1,912 connections (threshold 20 connections) over 15 min',
  );
  expect(text).toContain('heap-growth: post-GC floor grew 3 MB in the window');
  expect(text).toContain('clients gained 900 entries');
  expect(text).toContain('1. clients (Map): +900 WebSocket, 80.0 MiB retained');
  expect(text).toContain('server.js:41');
  expect(text.split('\n').filter((line) => /^ +\d\d:\d\d:\d\d/.test(line)).length).toBeLessThanOrEqual(13);
  expect(text).toContain('chat-server 3.1.4, instance chat-7f9c, pid 4711 on web-3');
  expect(built.samples).toHaveLength(100);
});

test('a long history is thinned out and keeps its first and last point', () => {
  const points = Array.from({ length: 1001 }, (_, i) => reportPoint({ wallMs: i }));
  const { samples } = report({}, points);
  expect(samples).toHaveLength(240);
  expect([samples[0]?.wallMs, samples.at(-1)?.wallMs]).toEqual([0, 1000]);
});

test('every kind has advice, a page and a report', () => {
  for (const kind of ALL_KINDS) {
    expect(adviceText({ kind, snapshots: [] }).length).toBeGreaterThan(60);
    expect(KINDS[kind].docs).toBe(`docs/leaks/${kind}.md`);
    expect(report({ kind }).headline).toHaveLength(5);
  }
});

test('the setting that mutes an alert for a day can be pasted', () => {
  const alert = { fingerprint: '61b250a0da0f2809', at: '2026-11-30T23:59:59.123Z' };
  const built = report(alert);
  const setting = 'WSGUARD_MUTE=61b250a0da0f2809:2026-12-01T23:59:00Z';
  expect(reportText(built)).toContain(setting);
  expect(reportHtml(built)).toContain(setting);
  const entry = [setting.slice('WSGUARD_MUTE='.length)];
  expect(isMuted(entry, alert.fingerprint, Date.parse(alert.at))).toBe(true);
  expect(isMuted(entry, alert.fingerprint, Date.parse('2026-12-02T00:00:00Z'))).toBe(false);
});

test('shares and their thresholds are percentages', () => {
  const evidence = [{ name: 'heap_limit_used_share', value: 0.912, unit: '1', threshold: 0.85 }];
  const built = report({ evidence });
  expect(reportText(built)).toContain('heap_limit_used_share: 91 % (threshold 85 %)');
  expect(reportHtml(built)).toMatch(/>91 %<[\s\S]*>85 %</);
});

test('the leak of a window is a lower limit, and large counts have no decimals', () => {
  const evidence = [
    { name: 'rise_in_window', value: 46.6, unit: 'child processes', threshold: 10.25, windowMs: 1_800_000 },
    { name: 'leaked_in_window', value: 21, unit: 'child processes', windowMs: 1_800_000 },
    { name: 'leaked_per_closed_connection', value: 0.96, unit: 'child processes' },
  ];
  const text = reportText(report({ evidence }));
  expect(text).toContain('rise_in_window: 47 child processes (threshold 10 child processes) over 30 min');
  expect(text).toContain('leaked_in_window: at least 21 child processes over 30 min');
  expect(text).toContain('leaked_per_closed_connection: 0.96 child processes');
});
