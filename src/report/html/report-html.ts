/** The report of an alert as one self-contained page (report.html): it can be mailed and opened without a network. */
import type { Alert, Analysis, Report, ReportPoint, Suspect } from '../../types/index.ts';
import { formatDuration } from '../../core/format.ts';
import { KINDS, capturesEvidence } from '../../kinds/index.ts';
import { analysisTables } from './analysis-html.ts';
import { chartSection, drawChart } from './chart.ts';
import { evidenceNumber, evidenceValue, muteSetting } from '../report-text.ts';
import { inlineCode, markup } from './markup.ts';
import type { Markup } from './markup.ts';
import { nextSteps, snapshotSection } from './next-steps.ts';
import { page } from './page.ts';
import { meter, suspectCard } from './suspects.ts';

export function reportHtml(report: Report): string {
  const { alert, analysis, samples, notes } = report;
  const suspect = suspectOf(alert, analysis);
  const body = markup`${header(alert)} ${tiles(report)} ${rootCause(alert, suspect, analysis)}
  ${pointCharts(samples)} ${evidenceSection(alert)} ${nextSteps(alert)} ${snapshotSection(alert)}
  ${analysis === null ? null : analysisTables(analysis, suspect)}
  ${notes.length === 0 ? null : markup`<h2>Notes</h2>${notes.map((note) => markup`<p>${note}</p>`)}`}
  ${footer(alert)}`;
  return page(`${alert.service}: ${alert.title}`, body);
}

function header(alert: Alert): Markup {
  const isClosed = alert.event === 'closed';
  return markup`<header>
    <span class="pill ${isClosed ? 'clean' : alert.severity}">${isClosed ? 'closed' : alert.severity}</span
    ><span class="pill">${alert.kind}</span>
    <h1>${alert.title}</h1>
    <p class="soft">
      ${alert.service} on ${alert.host}, pid ${alert.pid}, up ${formatDuration(alert.uptimeMs)} at
      <time datetime="${alert.at}">${alert.at.replace('T', ' ').slice(0, 19)} UTC</time>
    </p>
    ${alert.because === undefined ? null : markup`<p>Closed: ${alert.because}</p>`}
  </header>`;
}

/** One tile for each line of the headline but the first, which repeats the title. The file name may be long. */
function tiles({ headline }: Report): Markup {
  const toneOf: Readonly<Record<string, string>> = { Now: ' now', File: ' wide' };
  const cards = headline.slice(1).map((line) => {
    const [, label = '', text = line] = /^(\w[\w ]*): (.*)$/s.exec(line) ?? [];
    return markup`<div class="card tile${toneOf[label] ?? ''}"><b>${label}</b>${inlineCode(label === 'File' ? text : capitalise(text))}</div>`;
  });
  return markup`<div class="tiles">${cards}</div>`;
}

const capitalise = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** The suspect that the alert names as its root cause; the first one when it names none. */
function suspectOf({ culprit }: Alert, analysis: Analysis | null): Suspect | null {
  const suspects = analysis?.suspects ?? [];
  if (culprit === null) return suspects[0] ?? null;
  const isNamed = ({ name, location }: Suspect): boolean =>
    name === culprit.name ||
    (location !== null && location.file === culprit.file && location.line === culprit.line);
  return suspects.find(isNamed) ?? null;
}

/** Null for a condition that captures no evidence: nothing searches for its root cause. */
function rootCause(alert: Alert, suspect: Suspect | null, analysis: Analysis | null): Markup | null {
  const { culprit, culpritBecause, kind } = alert;
  if (suspect !== null) {
    const card = suspectCard(suspect, analysis ?? { connections: null });
    return culprit === null
      ? markup`<h2>Main suspect</h2>${card}<p class="soft">${capitalise(culpritBecause ?? '')}</p>`
      : markup`<h2>Root cause</h2>${card}`;
  }
  if (culprit === null) {
    if (!capturesEvidence(kind)) return null;
    const { retainedBy } = KINDS[kind];
    return markup`<h2>Root cause</h2>
      <section class="card">
        <p>${capitalise(culpritBecause ?? 'not known yet')}</p>
        ${retainedBy === null ? null : markup`<p class="soft">Usual root cause: ${inlineCode(retainedBy.text)}</p>`}
      </section>`;
  }
  const { file, line } = culprit;
  return markup`<h2>Root cause</h2>
    <section class="card suspect">
      <h3>${culprit.text}</h3>
      ${file === null ? null : markup`<p><code class="location">${line === null ? file : `${file}:${line}`}</code></p>`}
      <p>${culprit.package === null ? null : `In ${culprit.package}. `}Confidence ${meter(culprit.confidence)}</p>
    </section>`;
}

function pointCharts(samples: readonly ReportPoint[]): Markup | null {
  const wallMs = samples.map((point) => point.wallMs);
  return chartSection('Memory and connections (times in UTC)', [
    drawChart({
      title: 'Memory',
      unit: 'bytes',
      wallMs,
      lines: [
        { name: 'heap after major GC', tone: 'one', values: samples.map((point) => point.floorBytes) },
        { name: 'heap used', tone: 'two', values: samples.map((point) => point.heapUsedBytes) },
        { name: 'whole process (RSS)', tone: 'three', values: samples.map((point) => point.rssBytes) },
      ],
    }),
    drawChart({
      title: 'Connections',
      unit: 'count',
      wallMs,
      lines: [
        { name: 'open', tone: 'one', values: samples.map((point) => point.connections) },
        { name: 'unresponsive', tone: 'two', values: samples.map((point) => point.unanswering) },
      ],
    }),
  ]);
}

function evidenceSection({ evidence, against, also }: Alert): Markup {
  const hasWindow = evidence.some(({ windowMs }) => windowMs !== undefined);
  const row = ({ name, value, unit, threshold, windowMs }: Alert['evidence'][number]): Markup =>
    markup`<tr>
      <td class="name"><code>${name}</code></td>
      <td class="number">${evidenceValue({ name, value, unit })}</td>
      <td class="number">${threshold === undefined ? '' : evidenceNumber(name, threshold, unit)}</td>
      ${hasWindow ? markup`<td class="number">${windowMs === undefined ? '' : formatDuration(windowMs)}</td>` : null}
    </tr>`;
  const list = (title: string, reasons: Alert['against']): Markup | null =>
    reasons.length === 0
      ? null
      : markup`<h2>${title}</h2>${reasons.map(({ kind, because }) => markup`<p><span class="pill">${kind}</span> ${because}</p>`)}`;
  return markup`<h2>Evidence</h2>
    <div class="scroll">
      <table>
        <thead><tr><th>Metric</th><th class="number">Value</th><th class="number">Threshold</th>${hasWindow ? markup`<th class="number">Window</th>` : null}</tr></thead>
        <tbody>${evidence.map(row)}</tbody>
      </table>
    </div>
    ${list('Ruled out', against)} ${list('Also detected', also)}`;
}

function footer(alert: Alert): Markup {
  const version = alert.serviceVersion === null ? '' : ` ${alert.serviceVersion}`;
  return markup`<footer>
    <p>${alert.service}${version}, instance ${alert.instance}, Node ${alert.nodeVersion}, agent ${alert.agentVersion}</p>
    <p>Alert <code>${alert.id}</code>, fingerprint <code>${alert.fingerprint}</code>.
      To mute it for a day, restart with <code>${muteSetting(alert)}</code></p>
  </footer>`;
}
