/** The card of the root cause, and the tables of suspects, retainers and classes. */
import type { Analysis, Holder, SourceLocation, Suspect } from '../../types/index.ts';
import { formatBytes, formatCount, formatShare, formatSpot } from '../../core/format.ts';
import { growthPerConnection } from '../connection-counts.ts';
import { sharedBytesText } from '../retaining-path.ts';
import { markup } from './markup.ts';
import type { Markup } from './markup.ts';
import { hasSuspectReference, retainingPath } from './retaining-path.ts';

const MAX_ROWS = 50;
/** More rows make a page slow to open. test/integration/report-html.test.ts opens a page with this many. */
const MAX_CLASSES = 10_000;
/** A shorter table needs no filter. */
const MIN_ROWS_FOR_FILTER = 20;

export const meter = (share: number): Markup =>
  markup`<span class="meter"><i style="width:${Math.round(share * 100)}%"></i></span>${formatShare(share)}`;

function locationText(location: SourceLocation): Markup {
  const { function: functionName, package: packageName } = location;
  return markup`<code class="location">${formatSpot(location)}</code>${functionName === null ? null : markup` in <code>${functionName}</code>`}${
    packageName ? markup` <span class="soft">(${packageName})</span>` : null
  }`;
}

export function suspectCard(suspect: Suspect, counts: Pick<Analysis, 'connections' | 'served'>): Markup {
  const { name, type, location, through, maker, growth, example, otherRetainers, notes, known } = suspect;
  const perConnection = growthPerConnection(suspect, counts);
  const group =
    suspect.containers > 1 ? ` in ${formatCount(suspect.containers)} containers of the same kind` : '';
  return markup`<section class="card suspect">
    <h3>${name} <span class="pill">${type}</span></h3>
    <p>
      ${location === null ? markup`<span class="soft">The line of code is unknown.</span>` : locationText(location)}
    </p>
    ${through === undefined ? null : markup`<p class="small soft">Through ${locationText(through)}</p>`}
    ${maker === undefined ? null : markup`<p class="small soft">The entries are created at ${locationText(maker)}</p>`}
    ${retainingPath(suspect)}
    ${perConnection === null ? null : markup`<p>${perConnection}.</p>`}
    <p>
      ${growth === null ? null : `Grew by ${formatCount(growth.objects)} objects and ${formatBytes(growth.bytes)}${group}. `}
      Retains ${formatBytes(suspect.retainedBytes)}. Confidence ${meter(suspect.confidence)}
    </p>
    ${
      example.length === 0
        ? null
        : markup`<p class="small soft">Example entry: <code>{ ${example.map((field) => `${field.name}: ${field.is}`).join(', ')} }</code></p>`
    }
    ${
      otherRetainers.length === 0
        ? null
        : markup`<p class="note">
            Also retained by ${otherRetainers.map((text, index) => markup`${index === 0 ? '' : ', '}<code>${text}</code>`)}:
            memory is freed only when all of them release it.
          </p>`
    }
    ${suspect.shared.map((shared) => markup`<p class="note">${sharedBytesText(shared)}.</p>`)}
    ${
      known === null
        ? null
        : markup`<p class="note">A known leak of <code>${known.package}</code> ${known.range}: ${known.advice}</p>`
    }
    ${notes.map((note) => markup`<p class="small soft">${note}</p>`)}
  </section>`;
}

export function suspectTable(suspects: readonly Suspect[]): Markup | null {
  if (suspects.length === 0) return null;
  const isComparison = suspects.some(({ growth }) => growth !== null);
  return markup`<h2>Other suspects</h2>
    <div class="scroll">
      <table>
        <thead>
          <tr><th>Container</th><th>Code</th><th class="number">${isComparison ? 'Grew by' : 'Entries'}</th><th class="number">Retained</th><th class="number">Confidence</th></tr>
        </thead>
        <tbody>
          ${suspects.slice(0, MAX_ROWS).map(
            (suspect) =>
              markup`<tr>
                <td class="name"><code>${suspect.path.join('')}</code><br /><span class="soft small">${suspect.entries}</span></td>
                <td class="name">${suspect.location === null ? null : markup`<code>${formatSpot(suspect.location)}</code>`}</td>
                <td class="number">${formatCount(suspect.growth?.objects ?? suspect.objects)}</td>
                <td class="number">${formatBytes(suspect.retainedBytes)}</td>
                <td class="number">${meter(suspect.confidence)}</td>
              </tr>
              ${suspectDetails(suspect)}`,
          )}
        </tbody>
      </table>
    </div>
    ${hiddenRows(suspects.length, MAX_ROWS)}`;
}

function suspectDetails(suspect: Suspect): Markup | null {
  const { shared } = suspect;
  if (!hasSuspectReference(suspect) && shared.length === 0) return null;
  return markup`<tr>
    <td colspan="5">
      <details class="small">
        <summary>Retaining path</summary>
        ${hasSuspectReference(suspect) ? retainingPath(suspect) : null}
        ${shared.map((part) => markup`<p class="note">${sharedBytesText(part)}.</p>`)}
      </details>
    </td>
  </tr>`;
}

export function holderTable(holders: readonly Holder[]): Markup | null {
  if (holders.length === 0) return null;
  return markup`<h2>Largest retainers</h2>
    <div class="scroll">
      <table>
        <thead>
          <tr><th>Retainer</th><th>Code</th><th class="number">Entries</th><th class="number">Retained</th><th class="number">Share of the heap</th></tr>
        </thead>
        <tbody>
          ${holders.slice(0, MAX_ROWS).map(
            ({ name, path, location, objects, retainedBytes, share }) =>
              markup`<tr>
                <td class="name"><code>${path.length === 0 ? name : path.join('')}</code></td>
                <td class="name">${location === null ? null : markup`<code>${formatSpot(location)}</code>`}</td>
                <td class="number">${formatCount(objects)}</td>
                <td class="number">${formatBytes(retainedBytes)}</td>
                <td class="number">${meter(share)}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
    ${hiddenRows(holders.length, MAX_ROWS)}`;
}

const hiddenRows = (count: number, shown: number): Markup | null =>
  count <= shown
    ? null
    : markup`<p class="small soft">${formatCount(count - shown)} more rows are not shown.</p>`;

export function classTable(title: string, id: string, rows: Analysis['classes']): Markup | null {
  if (rows.length === 0) return null;
  const isComparison = rows.some(({ growth }) => growth !== null);
  const growthHead = isComparison ? markup`<th class="number">Change</th>` : null;
  const growthCell = (value: number | undefined, format: (value: number) => string): Markup | null => {
    if (!isComparison) return null;
    if (value === undefined) return markup`<td class="number"></td>`;
    return markup`<td class="number${value > 0 ? ' up' : ''}">${value > 0 ? '+' : ''}${format(value)}</td>`;
  };
  return markup`<h2>${title}</h2>
    ${rows.length > MIN_ROWS_FOR_FILTER ? markup`<input data-filter="${id}" placeholder="Filter by name" aria-label="Filter ${title}" />` : null}
    <div class="scroll" id="${id}">
      <table>
        <thead>
          <tr><th>Class</th><th class="number">Objects</th>${growthHead}<th class="number">Bytes</th>${growthHead}</tr>
        </thead>
        <tbody>
          ${rows
            .slice(0, MAX_CLASSES)
            .map(
              ({ name, objects, bytes, growth }) =>
                markup`<tr><td class="name"><code>${name}</code></td><td class="number">${formatCount(objects)}</td>${growthCell(growth?.objects, formatCount)}<td class="number">${formatBytes(bytes)}</td>${growthCell(growth?.bytes, formatBytes)}</tr>`,
            )}
        </tbody>
      </table>
    </div>
    ${hiddenRows(rows.length, MAX_CLASSES)}`;
}
