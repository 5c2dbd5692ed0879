/** The culprit, its path as it is held, and the other suspects. */

import type { Analysis, Holder, SourceLocation, Suspect } from '../../types/index.ts';
import { formatBytes, formatCount, formatSpot } from '../../core/format.ts';
import { besideConnections, sharedText } from '../held.ts';
import { stepsOf } from './held.ts';
import { markup } from './markup.ts';
import type { Markup } from './markup.ts';

const MOST_ROWS = 50;

export const percent = (share: number): string => `${Math.round(share * 100)} %`;

export const meter = (share: number): Markup =>
  markup`<span class="meter"><i style="width:${Math.round(share * 100)}%"></i></span>${percent(share)}`;

export function placeOf(location: SourceLocation): Markup {
  const { function: name, package: from } = location;
  return markup`<code class="place">${formatSpot(location)}</code>${name === null ? null : markup` in <code>${name}</code>`}${
    from ? markup` <span class="soft">(${from})</span>` : null
  }`;
}

/** The chain that keeps it alive: from what the user wrote to the container, then what is in it. */
export function pathOf(path: readonly string[], held: string | null): Markup {
  const last = path.length - 1;
  const steps = path.map(
    (step, at) => markup`<li><code class="step${at === last ? ' holder' : ''}">${step}</code></li>`,
  );
  const entries = held === null ? null : markup`<li><code class="step held">${held}</code></li>`;
  return markup`<ol class="path" aria-label="What holds it">${steps}${entries}</ol>`;
}

export function culpritCard(suspect: Suspect, counted: Pick<Analysis, 'connections' | 'served'>): Markup {
  const { name, path, location, growth, entries, example, otherRetainers, notes, known } = suspect;
  const held = `${growth === null ? '' : '+'}${formatCount(growth?.objects ?? suspect.objects)} × ${entries}`;
  const beside = besideConnections(suspect, counted);
  const like = suspect.containers > 1 ? ` in ${formatCount(suspect.containers)} like containers` : '';
  return markup`<section class="card culprit">
    <h3>${name} <span class="pill">${suspect.type}</span></h3>
    <p>
      ${location === null ? markup`<span class="soft">no line of code known</span>` : placeOf(location)}
    </p>
    ${suspect.maker === undefined ? null : markup`<p class="small soft">The entries are made at ${placeOf(suspect.maker)}</p>`}
    ${hasSuspects(suspect) ? stepsOf(suspect.steps, held) : pathOf(path, held)}
    ${beside === null ? null : markup`<p>${beside}.</p>`}
    <p>
      ${growth === null ? null : `Gained ${formatCount(growth.objects)} objects and ${formatBytes(growth.bytes)}${like}. `}
      Keeps ${formatBytes(suspect.retainedBytes)} alive. Confidence ${meter(suspect.confidence)}
    </p>
    ${
      example.length === 0
        ? null
        : markup`<p class="small soft">An entry: <code>{ ${example.map((field) => `${field.name}: ${field.is}`).join(', ')} }</code></p>`
    }
    ${
      otherRetainers.length === 0
        ? null
        : markup`<p class="note">
            Also held by ${otherRetainers.map((text, at) => markup`${at === 0 ? '' : ', '}<code>${text}</code>`)}:
            releasing one of them frees nothing.
          </p>`
    }
    ${suspect.shared.map((shared) => markup`<p class="note">Bytes ${sharedText(shared)}.</p>`)}
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
  const grew = suspects.some(({ growth }) => growth !== null);
  return markup`<h2>Other suspects</h2>
    <div class="scroll">
      <table>
        <thead>
          <tr><th>Container</th><th>Where</th><th class="number">${grew ? 'Gained' : 'Entries'}</th><th class="number">Retained</th><th class="number">Confidence</th></tr>
        </thead>
        <tbody>
          ${suspects.slice(0, MOST_ROWS).map(
            (suspect) =>
              markup`<tr>
                <td class="name"><code>${suspect.path.join('')}</code><br /><span class="soft small">${suspect.entries}</span></td>
                <td>${suspect.location === null ? null : markup`<code>${formatSpot(suspect.location)}</code>`}</td>
                <td class="number">${formatCount(suspect.growth?.objects ?? suspect.objects)}</td>
                <td class="number">${formatBytes(suspect.retainedBytes)}</td>
                <td class="number">${meter(suspect.confidence)}</td>
              </tr>
              ${detailsOf(suspect)}`,
          )}
        </tbody>
      </table>
    </div>
    ${more(suspects.length, MOST_ROWS)}`;
}

/** A container of numbers should be there, and numbers are no objects: its path alone says as much. */
const hasSuspects = ({ steps }: Suspect): boolean => steps.some(({ isSuspect }) => isSuspect);

/** What the card of the first one shows at once. */
function detailsOf(suspect: Suspect): Markup | null {
  const { steps, shared, entries, objects } = suspect;
  if (!hasSuspects(suspect) && shared.length === 0) return null;
  return markup`<tr>
    <td colspan="5">
      <details class="small">
        <summary>how it is held</summary>
        ${hasSuspects(suspect) ? stepsOf(steps, `${formatCount(objects)} × ${entries}`) : null}
        ${shared.map((each) => markup`<p class="note">Bytes ${sharedText(each)}.</p>`)}
      </details>
    </td>
  </tr>`;
}

export function holderTable(holders: readonly Holder[]): Markup | null {
  if (holders.length === 0) return null;
  return markup`<h2>What holds the memory</h2>
    <div class="scroll">
      <table>
        <thead>
          <tr><th>Holder</th><th>Where</th><th class="number">Entries</th><th class="number">Retained</th><th class="number">Of all</th></tr>
        </thead>
        <tbody>
          ${holders.slice(0, MOST_ROWS).map(
            ({ name, path, location, objects, retainedBytes, share }) =>
              markup`<tr>
                <td class="name"><code>${path.length === 0 ? name : path.join('')}</code></td>
                <td>${location === null ? null : markup`<code>${formatSpot(location)}</code>`}</td>
                <td class="number">${formatCount(objects)}</td>
                <td class="number">${formatBytes(retainedBytes)}</td>
                <td class="number">${meter(share)}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
    ${more(holders.length, MOST_ROWS)}`;
}

const more = (count: number, shown: number): Markup | null =>
  count <= shown ? null : markup`<p class="small soft">and ${formatCount(count - shown)} more</p>`;

const MOST_CLASSES = 10_000;

export function classTable(title: string, id: string, rows: Analysis['classes']): Markup | null {
  if (rows.length === 0) return null;
  const grows = rows.some(({ growth }) => growth !== null);
  const gained = (value: number | undefined, text: string): Markup =>
    markup`<td class="number${value !== undefined && value > 0 ? ' up' : ''}">${value === undefined ? '' : text}</td>`;
  const plus = (value: number, text: string): string => (value > 0 ? `+${text}` : text);
  return markup`<h2>${title}</h2>
    ${rows.length > 20 ? markup`<input data-filter="${id}" placeholder="Filter by name" aria-label="Filter ${title}" />` : null}
    <div class="scroll" id="${id}">
      <table>
        <thead>
          <tr><th>Class</th><th class="number">Objects</th>${grows ? markup`<th class="number">Gained</th>` : null}<th class="number">Bytes</th>${grows ? markup`<th class="number">Gained</th>` : null}</tr>
        </thead>
        <tbody>
          ${rows
            .slice(0, MOST_CLASSES)
            .map(
              ({ name, objects, bytes, growth }) =>
                markup`<tr><td class="name"><code>${name}</code></td><td class="number">${formatCount(objects)}</td>${grows ? gained(growth?.objects, plus(growth?.objects ?? 0, formatCount(growth?.objects ?? 0))) : null}<td class="number">${formatBytes(bytes)}</td>${grows ? gained(growth?.bytes, plus(growth?.bytes ?? 0, formatBytes(growth?.bytes ?? 0))) : null}</tr>`,
            )}
        </tbody>
      </table>
    </div>
    ${more(rows.length, MOST_CLASSES)}`;
}
