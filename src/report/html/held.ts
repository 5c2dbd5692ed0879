/** The path to an entry, drawn: what should be there, what should not, and the references between, where to look. */

import type { HeldStep } from '../../types/index.ts';
import { STATE_WORDS } from '../held.ts';
import { markup } from './markup.ts';
import type { Markup } from './markup.ts';

export function stepsOf(steps: readonly HeldStep[], held: string): Markup {
  const drawn = steps.map(
    ({ text, is, state, isSuspect }) =>
      markup`<li class="${isSuspect ? 'suspect' : ''}"><code class="step ${state}" title="${is}: ${STATE_WORDS[state]}">${text}</code></li>`,
  );
  return markup`<ol class="path" aria-label="What holds it">${drawn}</ol>
    ${legend(steps)}
    <p class="small soft">Held this way: <code>${held}</code>.</p>
    ${reasons(steps)}`;
}

function legend(steps: readonly HeldStep[]): Markup | null {
  if (!steps.some(({ isSuspect }) => isSuspect)) return null;
  return markup`<p class="key"><i class="look"></i>Look here: between what should be there and what should not.</p>`;
}

/** Each class and the fact behind each state, in the order of the path. */
function reasons(steps: readonly HeldStep[]): Markup {
  return markup`<table class="states" aria-label="What should be there and what should not">
    <tbody>
      ${steps.map(
        ({ text, is, state, because, isSuspect }) =>
          markup`<tr>
            <td>${isSuspect ? markup`<b class="look" aria-label="suspect reference">~~&gt;</b>` : null}</td>
            <td><code>${text}</code> <span class="soft">${is}</span></td>
            <td><b class="state ${state}">${STATE_WORDS[state]}</b>${because === null ? null : markup` ${because}`}</td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}
