/** The report as one page that needs nothing but itself: it may be mailed, and opened where there is no network. */

import type { Alert, Analysis, Report, ReportPoint, Suspect } from '../types/index.ts';
import { formatBytes, formatCount, formatDuration, formatValue } from '../core/format.ts';
import { connectionLines } from './held.ts';
import { drawChart } from './html/chart.ts';
import { markup, Markup } from './html/markup.ts';
import { devTools, foot, nextSteps } from './html/next.ts';
import { SCRIPT, SCRIPT_HASH } from './html/script.ts';
import { STYLE } from './html/style.ts';
import { classTable, culpritCard, holderTable, meter, suspectTable } from './html/suspects.ts';

/** The story of an alert. */
export function reportHtml(report: Report): string {
  const { alert, analysis, samples, notes } = report;
  const suspect = suspectOf(alert, analysis);
  const body = markup`${alertHead(alert)}${tiles(report)} ${culprit(alert, suspect, analysis)} ${charts(samples)}
  ${evidence(alert)} ${analysis === null ? null : analysisParts(analysis, suspect)} ${nextSteps(alert)}
  ${notes.length === 0 ? null : markup`<h2>Notes</h2>${notes.map((note) => markup`<p>${note}</p>`)}`}
  ${foot(alert)}`;
  return page(`${alert.service}: ${alert.title}`, body);
}

/** What `wsguard analyse` found, without an alert. */
export function analysisHtml(analysis: Analysis): string {
  const { snapshots, suspects, clean } = analysis;
  const [first] = suspects;
  // Of a single snapshot nobody can say that something grows, or that nothing does.
  const isOne = snapshots.length === 1;
  const isLeak = first !== undefined && !isOne;
  const title = isLeak
    ? `${first.name} keeps growing`
    : clean && !isOne
      ? 'Nothing grows'
      : 'What holds the memory';
  const files = snapshots.map(({ file }) => file);
  const body = markup`<header>
      <span class="pill ${isLeak ? 'critical' : clean && !isOne ? 'clean' : ''}">
        ${isLeak ? 'leak found' : isOne ? 'one snapshot' : clean ? 'clean' : `${snapshots.length} snapshots`}</span
      >
      <h1>${title}</h1>
      <p>${analysis.because}</p>
      ${connectionLines(analysis).map((line) => markup`<p class="soft">${line}.</p>`)}
    </header>
    ${first === undefined ? null : markup`<h2>${isOne ? 'Most suspicious' : 'Who holds it'}</h2>${culpritCard(first, analysis)}`}
    <h2>The snapshots</h2>
    ${snapshotTable(analysis)} ${snapshotCharts(analysis)} ${analysisParts(analysis, first ?? null)}
    <h2>Look for yourself</h2>
    ${devTools(files)}`;
  return page(title, body);
}

function page(title: string, body: Markup): string {
  const policy = `default-src 'none'; style-src 'unsafe-inline'; script-src '${SCRIPT_HASH}'; base-uri 'none'; form-action 'none'`;
  return markup`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${policy}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="referrer" content="no-referrer" />
        <title>${title}</title>
        <style>${new Markup(STYLE)}</style>
      </head>
      <body>
        <main>${body}</main>
        <script>${new Markup(SCRIPT)}</script>
      </body>
    </html>
    `.text;
}

function alertHead(alert: Alert): Markup {
  const state = alert.event === 'closed' ? 'closed' : alert.severity;
  return markup`<header>
    <span class="pill ${alert.event === 'closed' ? 'clean' : alert.severity}">${state}</span
    ><span class="pill">${alert.kind}</span>
    <h1>${alert.title}</h1>
    <p class="soft">
      ${alert.service} on ${alert.host}, pid ${alert.pid}, up ${formatDuration(alert.uptimeMs)} at
      <time datetime="${alert.at}">${alert.at.replace('T', ' ').slice(0, 19)} UTC</time>
    </p>
    ${alert.because === undefined ? null : markup`<p>Closed: ${alert.because}</p>`}
  </header>`;
}

/** The answers of the headline; the first line is the title. The file's comes last and may be long. */
function tiles({ headline }: Report): Markup {
  const kinds: Readonly<Record<string, string>> = { Now: ' now', File: ' wide' };
  const answers = headline.slice(1).map((line) => {
    const [, label = '', text = line] = /^(\w[\w ]*): (.*)$/s.exec(line) ?? [];
    return markup`<div class="card tile${kinds[label] ?? ''}"><b>${label}</b>${text}</div>`;
  });
  return markup`<div class="tiles">${answers}</div>`;
}

/** The suspect that the alert names; the first one where it names none. */
function suspectOf({ culprit: named }: Alert, analysis: Analysis | null): Suspect | null {
  const suspects = analysis?.suspects ?? [];
  if (named === null) return suspects[0] ?? null;
  const isNamed = ({ name, location }: Suspect): boolean =>
    name === named.name ||
    (location !== null && location.file === named.file && location.line === named.line);
  return suspects.find(isNamed) ?? null;
}

function culprit(alert: Alert, suspect: Suspect | null, analysis: Analysis | null): Markup {
  if (suspect !== null) {
    return markup`<h2>Who holds it</h2>${culpritCard(suspect, analysis ?? { connections: null })}`;
  }
  const { culprit: named } = alert;
  if (named === null) {
    return markup`<h2>Who holds it</h2>
      <section class="card"><p>${alert.culpritBecause ?? 'Not known yet.'}</p></section>`;
  }
  const place =
    named.file === null ? null : markup`<p><code class="place">${named.file}:${named.line}</code></p>`;
  return markup`<h2>Who holds it</h2>
    <section class="card culprit">
      <h3>${named.text}</h3>
      ${place}
      <p>${named.package === null ? null : `In ${named.package}. `}Confidence ${meter(named.confidence)}</p>
    </section>`;
}

function charts(samples: readonly ReportPoint[]): Markup | null {
  const wallMs = samples.map((point) => point.wallMs);
  const drawn = [
    drawChart({
      title: 'Memory',
      unit: 'bytes',
      wallMs,
      lines: [
        { name: 'heap after collection', tone: 'one', values: samples.map((point) => point.floorBytes) },
        { name: 'heap in use', tone: 'two', values: samples.map((point) => point.heapUsedBytes) },
        { name: 'whole process (RSS)', tone: 'three', values: samples.map((point) => point.rssBytes) },
      ],
    }),
    drawChart({
      title: 'Connections',
      unit: 'count',
      wallMs,
      lines: [
        { name: 'open', tone: 'one', values: samples.map((point) => point.connections) },
        { name: 'not answering', tone: 'two', values: samples.map((point) => point.unanswering) },
      ],
    }),
  ].filter((chart) => chart !== null);
  return drawn.length === 0 ? null : markup`<h2>How it grew</h2><div class="charts">${drawn}</div>`;
}

function evidence({ evidence: rows, against, also }: Alert): Markup {
  const row = ({ name, value, unit, threshold, windowMs }: Alert['evidence'][number]): Markup =>
    markup`<tr>
      <td class="name"><code>${name}</code></td>
      <td class="number">${formatValue(value, unit)}</td>
      <td class="number">${threshold === undefined ? '' : formatValue(threshold, unit)}</td>
      <td class="number">${windowMs === undefined ? '' : formatDuration(windowMs)}</td>
    </tr>`;
  const list = (title: string, reasons: Alert['against']): Markup | null =>
    reasons.length === 0
      ? null
      : markup`<h2>${title}</h2>${reasons.map(({ kind, because }) => markup`<p><span class="pill">${kind}</span> ${because}</p>`)}`;
  return markup`<h2>What shows it</h2>
    <div class="scroll">
      <table>
        <thead><tr><th>Measure</th><th class="number">Value</th><th class="number">Threshold</th><th class="number">Window</th></tr></thead>
        <tbody>${rows.map(row)}</tbody>
      </table>
    </div>
    ${list('What it is not', against)} ${list('Also seen', also)}`;
}

function analysisParts(analysis: Analysis, shown: Suspect | null): Markup {
  return markup`${suspectTable(analysis.suspects.filter((suspect) => suspect !== shown))} ${holderTable(analysis.holders)}
  ${classTable('Classes', 'classes', analysis.classes)}
  ${classTable('Outside the JavaScript heap', 'external', analysis.external)}`;
}

/** Our own file names say when they were taken; of others the order is all that is known. */
function snapshotCharts({ snapshots }: Analysis): Markup | null {
  const wallMs = snapshots.map(({ file }) => Number(/heap-(\d{13})-/.exec(file)?.[1]));
  if (wallMs.some((ms, at) => Number.isNaN(ms) || ms <= (wallMs[at - 1] ?? 0))) return null;
  const bytes = snapshots.map(({ selfBytes }) => selfBytes);
  const objects = snapshots.map(({ nodes }) => nodes);
  const drawn = [
    drawChart({
      title: 'Heap',
      unit: 'bytes',
      wallMs,
      lines: [{ name: 'live bytes', tone: 'one', values: bytes }],
    }),
    drawChart({
      title: 'Objects',
      unit: 'count',
      wallMs,
      lines: [{ name: 'live objects', tone: 'two', values: objects }],
    }),
  ].filter((chart) => chart !== null);
  return drawn.length === 0 ? null : markup`<h2>How it grew</h2><div class="charts">${drawn}</div>`;
}

function snapshotTable({ snapshots }: Analysis): Markup {
  return markup`<div class="scroll">
    <table>
      <thead><tr><th>Snapshot</th><th class="number">Objects</th><th class="number">Edges</th><th class="number">Bytes</th></tr></thead>
      <tbody>
        ${snapshots.map(
          ({ file, nodes, edges, selfBytes }) =>
            markup`<tr><td class="name"><code>${file}</code></td><td class="number">${formatCount(nodes)}</td><td class="number">${formatCount(edges)}</td><td class="number">${formatBytes(selfBytes)}</td></tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
