/** The retaining path of a suspect as boxes: from a name in the source to the retained entries. */
import type { RetainingStep, Suspect } from '../../types/index.ts';
import { formatCount } from '../../core/format.ts';
import { STATE_LABELS } from '../retaining-path.ts';
import { markup } from './markup.ts';
import type { Markup } from './markup.ts';

/** False for a container of plain values: those are not objects, and no step above them is leaking. */
export const hasSuspectReference = ({ steps }: Suspect): boolean => steps.some(({ isSuspect }) => isSuspect);

/** With the state of each step where it is known, else the names alone. */
export function retainingPath(suspect: Suspect): Markup {
  const { growth, objects, entries, steps, path } = suspect;
  const retained = `${growth === null ? '' : '+'}${formatCount(growth?.objects ?? objects)} × ${entries}`;
  if (!hasSuspectReference(suspect)) return plainPath(path, retained);
  const boxes = steps.map(
    ({ text, is, state, isSuspect }) =>
      markup`<li class="${isSuspect ? 'suspect' : ''}"><code class="step ${state}" title="${is}: ${STATE_LABELS[state]}">${text}</code></li>`,
  );
  return markup`<ol class="path" aria-label="Retaining path">${boxes}</ol>
    <p class="key"><i class="suspect"></i>The leak is at one of the dotted references, after the last object that is not leaking.</p>
    <p class="small soft">Retained by this path: <code>${retained}</code></p>
    ${stateTable(steps)}`;
}

function plainPath(path: readonly string[], retained: string): Markup {
  const container = path.length - 1;
  const boxes = path.map(
    (step, index) =>
      markup`<li><code class="step${index === container ? ' container' : ''}">${step}</code></li>`,
  );
  return markup`<ol class="path" aria-label="Retaining path">${boxes}<li><code class="step retained">${retained}</code></li></ol>`;
}

/** Class, state and reason of each step, in the order of the path. */
function stateTable(steps: readonly RetainingStep[]): Markup {
  return markup`<table class="states" aria-label="State of each object on the path">
    <tbody>
      ${steps.map(
        ({ text, is, state, because, isSuspect }) =>
          markup`<tr>
            <td>${isSuspect ? markup`<b class="suspect" aria-label="suspect reference">~~&gt;</b>` : null}</td>
            <td><code>${text}</code> <span class="soft">${is}</span></td>
            <td><b class="state ${state}">${STATE_LABELS[state]}</b>${because === null ? null : markup` ${because}`}</td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}
