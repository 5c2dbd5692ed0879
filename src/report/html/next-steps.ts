/** The sections "What to do" and "Heap snapshots" of a report, with commands to paste. */
import type { Alert, Snapshot } from '../../types/index.ts';
import { adviceOf } from '../../kinds/index.ts';
import { refusalText, writtenText } from '../snapshot-text.ts';
import { inlineCode, markup } from './markup.ts';
import type { Markup } from './markup.ts';

/** `wsguard analyse` compares at most three snapshots. */
const MAX_COMPARED = 3;

export function nextSteps(alert: Alert): Markup {
  const advice = adviceOf(alert);
  return markup`<h2>What to do</h2>
    <ol class="steps">
      <li><b>Now.</b> ${inlineCode(advice.now)}</li>
      <li><b>Then.</b> ${inlineCode(advice.fix)}</li>
      <li>Details: <code>${alert.docs}</code> in the folder of <code>@wsguard/agent</code>.</li>
    </ol>`;
}

/** Null when no snapshot was attempted. */
export function snapshotSection({ snapshots, host }: Alert): Markup | null {
  if (snapshots.length === 0) return null;
  const written = snapshots.filter((snapshot) => snapshot.outcome === 'written');
  const files = written.map(({ file }) => file);
  return markup`<h2>Heap snapshots</h2>
    ${snapshots.map((snapshot) => markup`<p>${snapshotLine(snapshot)}</p>`)}
    ${
      written.length === 0
        ? null
        : markup`<p>${
            written.every(({ redacted }) => redacted)
              ? 'String values in the files are masked. Names of classes, fields and functions are not.'
              : markup`<b>Not redacted: the files contain secrets in clear text.</b>`
          }</p>
          <p>Copy them to your machine and analyse them there:</p>
          ${files.map((file) => command(`scp ${shellQuote(`${host}:${file}`)} .`))} ${analysisCommands(files)}`
    }`;
}

/** DevTools cannot load a file from the command line, so the last step is described in words. */
export function analysisCommands(files: readonly string[]): Markup {
  const names = files.slice(-MAX_COMPARED).map((file) => file.split(/[\\/]/).at(-1) ?? file);
  const name = names.at(-1) ?? 'heap.heapsnapshot';
  const unpackedName = name.replace(/\.gz$/, '');
  const unpack = name === unpackedName ? '' : `gunzip -k ${shellQuote(name)} && `;
  return markup`${command(`npx -p @wsguard/agent wsguard analyse ${names.map(shellQuote).join(' ')}`)}
    <p>Or open the last one in Chrome DevTools:</p>
    ${command(`${unpack}google-chrome --auto-open-devtools-for-tabs about:blank`)}
    <p class="small soft">In DevTools: Memory, Load profile, then choose <code>${unpackedName}</code>.</p>`;
}

function snapshotLine(snapshot: Snapshot): Markup {
  if (snapshot.outcome === 'written') {
    return markup`<code>${snapshot.file}</code> <span class="soft">${writtenText(snapshot)}</span>`;
  }
  return snapshot.outcome === 'failed'
    ? markup`<span class="pill critical">failed</span> <code>${snapshot.code}</code> ${snapshot.reason}`
    : markup`<span class="pill warning">refused</span> ${refusalText(snapshot)}`;
}

const command = (text: string): Markup =>
  markup`<div class="command"><code>${text}</code><button type="button" data-copy>Copy</button></div>`;

const shellQuote = (text: string): string =>
  /^[\w./:@-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
