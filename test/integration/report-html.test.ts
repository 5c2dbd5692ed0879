import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { analysisHtml } from '../../src/report/html/analysis-html.ts';
import { reportHtml } from '../../src/report/html/report-html.ts';
import { buildReport } from '../../src/report/report.ts';
import { alertOf } from '../support/alerts.ts';
import { analysisOf, classRow, suspectOf } from '../support/analyses.ts';
import { describeWith, startComponent } from '../support/components.ts';
import type { Chromium } from '../support/components.ts';
import { eventually } from '../support/eventually.ts';

/** Time for a page of 10,000 rows on a busy machine. */
const DEADLINE_MS = 120_000;
const EVIL = `<script>globalThis.wasRun = true</script><img src="http://127.0.0.1:9/x" onerror="wasRun = true">`;
const POINTS = Array.from({ length: 60 }, (_, index) => ({
  wallMs: Date.UTC(2026, 10, 22) + index * 60_000,
  heapUsedBytes: (50 + index) * 1e6,
  floorBytes: (40 + index) * 1e6,
  rssBytes: 2e8,
  externalBytes: 1,
  connections: 100,
  unanswering: index,
}));
const rows = (count: number) =>
  Array.from({ length: count }, (_, index) => classRow(index === 0 ? EVIL : `Class${index}`));

const STEPS = Array.from({ length: 30 }, (_, index) => ({
  text: index === 9 ? EVIL : '.aLongFieldName',
  is: index === 9 ? EVIL : `${'Long'.repeat(20)}Class`,
  state: index < 10 ? ('not-leaking' as const) : index < 20 ? ('unknown' as const) : ('leaking' as const),
  because: index % 10 === 9 ? `${EVIL} ${'because'.repeat(20)}` : null,
  isSuspect: index > 9 && index < 21,
}));
const SHARED = [{ with: [{ rank: 2, name: `${EVIL} ${'long'.repeat(60)}` }], bytes: 3e6 }];

const PAGES = {
  'an alert with ten classes': () =>
    reportHtml(
      buildReport({
        alert: alertOf({
          title: `${EVIL} ${'long'.repeat(60)}`,
          snapshots: [
            {
              outcome: 'written',
              file: `/srv/${'deep/'.repeat(30)}heap.heapsnapshot`,
              method: 'inprocess',
              pauseMs: 1,
              bytes: 1,
              redacted: true,
            },
          ],
        }),
        points: POINTS,
        analysis: analysisOf({
          suspects: [
            suspectOf({ path: Array.from({ length: 30 }, () => '.aLongFieldName') }),
            suspectOf({ name: EVIL, steps: STEPS, shared: SHARED }),
          ],
          classes: rows(10),
        }),
        dir: '/srv',
      }),
    ),
  'an analysis of ten thousand classes': () =>
    analysisHtml(
      analysisOf({
        suspects: [suspectOf({ steps: STEPS, shared: SHARED }), suspectOf({ steps: STEPS, shared: SHARED })],
        classes: rows(10_000),
      }),
    ),
};

describeWith(['chromium'], 'the report in a real browser', () => {
  let chromium: Chromium;
  let dir: string;

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'wsguard-html-'));
    chromium = await startComponent('chromium');
  });
  afterAll(async () => {
    await chromium?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  const views = Object.entries(PAGES).flatMap(([name, make]) =>
    (['light', 'dark'] as const).flatMap((colorScheme) =>
      [1280, 390].map((width) => ({ name, make, colorScheme, width })),
    ),
  );

  test.each(views)(
    '$name, $colorScheme, $width wide: requests nothing, runs no injected script, fits the width',
    async ({ make, colorScheme, width }) => {
      const file = join(dir, 'report.html');
      writeFileSync(file, make());
      const context = await chromium.browser.newContext({ colorScheme, viewport: { width, height: 900 } });
      const page = await context.newPage();
      page.setDefaultTimeout(DEADLINE_MS);
      const requests: string[] = [];
      const errors: string[] = [];
      page.on('request', (request) => requests.push(request.url()));
      page.on('console', (message) => errors.push(message.text()));
      page.on('pageerror', (error) => errors.push(String(error)));
      await page.goto(pathToFileURL(file).href);
      await page.evaluate(`document.querySelectorAll('details').forEach((each) => (each.open = true))`);
      const state = (await page.evaluate(`({
        wasRun: globalThis.wasRun === true,
        overflow: document.documentElement.scrollWidth - innerWidth,
        images: document.images.length,
        paper: getComputedStyle(document.body).backgroundColor,
        ink: getComputedStyle(document.body).color,
        text: document.body.innerText,
      })`)) as Record<string, unknown>;
      expect(requests).toEqual([pathToFileURL(file).href]);
      expect(errors).toEqual([]);
      expect(state).toMatchObject({ wasRun: false, images: 0 });
      expect(state['overflow']).toBeLessThanOrEqual(0);
      expect(String(state['text'])).toContain('<script>globalThis.wasRun = true</script>');
      const light = (color: unknown): number => Number(/\d+/.exec(String(color))?.[0]);
      expect(light(state['paper']) > light(state['ink'])).toBe(colorScheme === 'light');
      await context.close();
    },
  );

  test('the copy button and the filter work under the page’s own policy', async () => {
    const file = join(dir, 'report.html');
    writeFileSync(file, PAGES['an analysis of ten thousand classes']());
    const page = await chromium.browser.newPage();
    page.setDefaultTimeout(DEADLINE_MS);
    await page.goto(pathToFileURL(file).href);
    const [button] = await page.$$('button[data-copy]');
    await button?.click();
    // Not `waitForFunction`: it evaluates in the page, which the page's policy forbids from the second look on.
    await eventually(
      async () => /Copied|Selected/.test((await button?.textContent()) ?? ''),
      'the button to say that it copied',
    );
    await page.fill('input[data-filter]', 'class999');
    const shown = await page.evaluate(
      `[...document.querySelectorAll('#classes tbody tr')].filter((row) => !row.hidden).length`,
    );
    expect(shown).toBe(11);
    await page.close();
  });
});
