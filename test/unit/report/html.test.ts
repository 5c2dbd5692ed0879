import { createHash } from 'node:crypto';
import { analysisHtml } from '../../../src/report/html/analysis-html.ts';
import { reportHtml } from '../../../src/report/html/report-html.ts';
import { drawChart } from '../../../src/report/html/chart.ts';
import { markup } from '../../../src/report/html/markup.ts';
import { SCRIPT, SCRIPT_HASH } from '../../../src/report/html/page.ts';
import { buildReport } from '../../../src/report/report.ts';
import type { Alert, ReportPoint } from '../../../src/types/index.ts';
import { alertOf } from '../../support/alerts.ts';
import { analysisOf, classRow, suspectOf } from '../../support/analyses.ts';

const EVIL = `<script>alert(1)</script>"'&<img src=x onerror=alert(1)>`;
const NO_EVIL = '&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;&lt;img src=x onerror=alert(1)&gt;';

const points = (count: number): ReportPoint[] =>
  Array.from({ length: count }, (_, index) => ({
    wallMs: Date.UTC(2026, 10, 22) + index * 60_000,
    heapUsedBytes: (50 + index) * 1_000_000,
    floorBytes: index % 2 === 0 ? (40 + index) * 1_000_000 : null,
    rssBytes: 200_000_000,
    externalBytes: 1,
    connections: 100,
    unanswering: index,
  }));
const report = (alert: Partial<Alert> = {}, analysis = analysisOf()) =>
  buildReport({
    alert: alertOf({ culprit: null, ...alert }),
    points: points(30),
    analysis,
    dir: '/var/wsguard',
  });

test('values are escaped, nested templates are not', () => {
  expect(markup`<b title="${EVIL}">${markup`<i>${EVIL}</i>`}${[markup`<u></u>`]}${null}${0}</b>`.text).toBe(
    `<b title="${NO_EVIL}"><i>${NO_EVIL}</i><u></u>0</b>`,
  );
});

test('invisible characters and direction marks are shown as escapes', () => {
  expect(markup`${'gnp\u202eexe.\u0000\u200b'}`.text).toBe('gnp\\u202eexe.\\u0000\\u200b');
});

test('no string from the heap or from the alert becomes markup', () => {
  const suspect = suspectOf({
    name: EVIL,
    path: [EVIL],
    location: { file: EVIL, line: 1, function: EVIL, package: EVIL },
    entries: EVIL,
    example: [{ name: EVIL, is: EVIL }],
    otherRetainers: [EVIL],
    notes: [EVIL],
    known: { id: 'x', package: EVIL, range: EVIL, advice: EVIL },
    steps: [{ text: EVIL, is: EVIL, state: 'unknown', because: EVIL, isSuspect: true }],
    shared: [{ with: [{ rank: 2, name: EVIL }], bytes: 9 }],
  });
  const holder = { ...suspect, type: 'Map', share: 0.5 };
  const analysis = analysisOf({
    snapshots: [{ file: EVIL, nodes: 1, edges: 1, selfBytes: 1 }],
    suspects: [suspect, suspect],
    because: EVIL,
    holders: [holder],
    classes: [classRow(EVIL)],
    external: [classRow(EVIL)],
  });
  const because = [{ kind: 'heap-growth', because: EVIL }] as const;
  const page = reportHtml({
    ...report(
      {
        title: EVIL,
        service: EVIL,
        host: EVIL,
        id: EVIL,
        fingerprint: EVIL,
        instance: EVIL,
        because: EVIL,
        docs: EVIL,
        evidence: [{ name: EVIL, value: 1, unit: EVIL, threshold: 2 }],
        against: because,
        also: because,
        snapshots: [
          { outcome: 'written', file: EVIL, method: 'fork', pauseMs: 1, bytes: 1, redacted: false },
          { outcome: 'failed', code: EVIL, reason: EVIL },
          { outcome: 'refused', reason: EVIL },
        ],
      },
      analysis,
    ),
    notes: [EVIL],
  });
  const culprit = {
    text: EVIL,
    name: null,
    file: EVIL,
    line: 9,
    function: EVIL,
    package: EVIL,
    confidence: 1,
  };
  const alone = reportHtml(report({ culprit, kind: 'heap-growth' }, analysisOf({ suspects: [] })));
  for (const text of [page, alone, analysisHtml(analysis)]) {
    expect(text.includes(NO_EVIL)).toBe(true);
    expect(text.match(/<script/g)).toHaveLength(1);
    expect(text.includes('<img')).toBe(false);
  }
});

test('the page requests nothing, and its policy allows only its own script', () => {
  const page = reportHtml(report());
  expect(SCRIPT_HASH).toBe(`sha256-${createHash('sha256').update(SCRIPT).digest('base64')}`);
  expect(page).toContain(`default-src 'none'`.replaceAll("'", '&#39;'));
  expect(page).toContain(SCRIPT_HASH);
  expect(page.match(/https?:|\bsrc=|\bhref=|url\(|@import/g)).toBeNull();
});

test('the page has the title, the root cause, its path, the time left, the advice and the commands', () => {
  const page = reportHtml(
    report({
      snapshots: [
        {
          outcome: 'written',
          file: "/var/ws guard/heap-1'2.heapsnapshot.gz",
          method: 'inprocess',
          pauseMs: 812,
          bytes: 36_000_000,
          redacted: true,
        },
      ],
    }),
  );
  for (const part of [
    '1,912 of 2,410 connections do not reply to pings',
    '/srv/app/connections.js:41',
    '.get(&quot;lobby&quot;)',
    '+1,912 × WebSocket',
    'in about 42 min',
    '<b>Now.</b>',
    '<svg',
    'scp &#39;web-3:/var/ws guard/heap-1&#39;\\&#39;&#39;2.heapsnapshot.gz&#39; .',
    'gunzip -k &#39;heap-1&#39;\\&#39;&#39;2.heapsnapshot.gz&#39; &amp;&amp; google-chrome',
  ]) {
    expect(page).toContain(part);
  }
});

test('without a root cause, analysis, samples and snapshots the page gives the reason', () => {
  const page = reportHtml({
    ...report({ culprit: null, culpritBecause: 'no snapshot: refused' }),
    analysis: null,
    samples: [],
  });
  expect(page).toContain('No snapshot: refused');
  expect(page).not.toContain('<svg');
});

test('the card shows the suspect that the alert names, whatever its rank, or the culprit alone if no suspect matches', () => {
  const suspects = [
    suspectOf({ name: 'other', path: ['other'] }),
    suspectOf({ name: 'clients', path: ['clients'] }),
  ];
  const holder = /class="step container">([^<]*)</;
  const named = { ...alertOf().culprit!, name: 'clients', file: 'a.js' };
  const draw = (culprit: Alert['culprit']) => reportHtml(report({ culprit }, analysisOf({ suspects })));
  expect(holder.exec(draw(named))?.[1]).toBe('clients');
  expect(holder.exec(draw(null))?.[1]).toBe('other');
  const alone = draw({ ...named, name: 'bus', text: 'listeners of bus' });
  expect(alone).toContain('<h3>listeners of bus</h3>');
  expect(alone.match(/<code>(other|clients)<\/code>/g)).toHaveLength(2);
});

test('the retaining path marks suspect references and gives each state with its reason, for every suspect', () => {
  const step = { text: 'clients', is: 'Map', because: 'a variable of the module a.js', isSuspect: false };
  const steps = [
    { ...step, state: 'not-leaking' },
    { ...step, text: '.get(…)', is: 'Session', state: 'unknown', because: null, isSuspect: true },
    { ...step, text: '.socket', is: 'Socket', state: 'leaking', because: 'closed', isSuspect: true },
  ] as const;
  const shared = [{ with: [{ rank: 2, name: 'bus' }], bytes: 3 * 1024 ** 2 }];
  const suspect = suspectOf({ steps, shared, growth: { objects: 300, bytes: 1 } });
  const connections = {
    open: 10,
    closed: 280,
    before: { open: 10, closed: 40 },
    since: { opened: 0, openedAndClosed: 240, closed: 3, released: 0 },
  };
  const page = analysisHtml(analysisOf({ suspects: [suspect, { ...suspect }], connections }));
  for (const part of [
    '<li class=""><code class="step not-leaking"',
    '<li class="suspect"><code class="step unknown"',
    '<li class="suspect"><code class="step leaking"',
    '3.0 MiB are shared with bus (suspect 2) and are freed only when both release them',
    'not leaking</b> a variable of the module a.js',
    '+300 entries while 240 connections opened, closed and stayed in memory',
    'in the last: 10 open, 280 closed but still in memory. Opened after the first snapshot: 240 closed but still in memory. Of the connections in the first snapshot: 3 closed since',
  ])
    expect(page).toContain(part);
  expect(page.match(/~~&gt;/g)).toHaveLength(4);
  expect(page.match(/<summary>Retaining path/g)).toHaveLength(1);
});

test('one snapshot is never called clean or leaking; a clean pair gives the reason', () => {
  expect(analysisHtml(analysisOf({ suspects: [], clean: true, because: 'Nothing gained.' }))).toMatch(
    /no leak found[\s\S]*Nothing grows[\s\S]*Nothing gained\./,
  );
  const [one] = analysisOf().snapshots;
  for (const suspects of [[], [suspectOf({ growth: null })]]) {
    const page = analysisHtml(analysisOf({ snapshots: [one!], suspects, clean: false }));
    expect(page).toContain('Largest retainers');
    expect(page).not.toMatch(/leak found|keeps growing|Nothing grows/);
  }
});

test('the class table lists 10,000 rows with a filter and counts the rest', () => {
  const classes = Array.from({ length: 10_003 }, (_, index) => classRow(`Class${index}`));
  const page = analysisHtml(analysisOf({ classes }));
  expect(page.match(/<code>Class\d+<\/code>/g)).toHaveLength(10_000);
  expect(page).toContain('3 more rows are not shown');
  expect(page).toContain('data-filter="classes"');
});

test('a line with gaps is drawn in segments, from zero, with round ticks', () => {
  const chart = drawChart({
    title: 'Heap',
    unit: 'bytes',
    wallMs: [0, 1000, 2000, 3000],
    lines: [{ name: 'floor', tone: 'one', values: [1e6, null, 2e6, 3e6] }],
  })?.text;
  expect(chart?.match(/ d="(M[^"]*)"/)?.[1]).toMatch(/^M[\d. ]+M[\d. ]+L[\d. ]+$/);
  for (const tick of ['0 B', '1.0 MiB', '4.0 MiB']) expect(chart).toContain(tick);
  expect(chart).toContain('aria-label="Heap: floor from 977 KiB to 2.9 MiB"');
});

test('fewer than two points give no chart', () => {
  const lines = [{ name: 'a', tone: 'one', values: [1] }] as const;
  expect(drawChart({ title: 't', unit: 'count', wallMs: [1], lines })).toBeNull();
  expect(drawChart({ title: 't', unit: 'count', wallMs: [], lines: [] })).toBeNull();
});

test('the commands copy and compare both snapshots; a file that is not redacted has a warning', () => {
  const snapshot = (file: string, redacted: boolean) =>
    ({ outcome: 'written', file, method: 'inprocess', pauseMs: 9, bytes: 10, redacted }) as const;
  const page = reportHtml(report({ snapshots: [snapshot('/d/a', false), snapshot('/d/b', true)] }));
  for (const text of [
    'scp web-3:/d/a .',
    'scp web-3:/d/b .',
    'wsguard analyse a b<',
    'secrets in clear text',
  ])
    expect(page).toContain(text);
});
