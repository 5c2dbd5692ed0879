/** What to do, and the commands to paste. */

import type { Alert, Snapshot } from '../../types/index.ts';
import { adviceOf } from '../advice.ts';
import { formatBytes, formatDuration } from '../../core/format.ts';
import { markup } from './markup.ts';
import type { Markup } from './markup.ts';

/** `wsguard analyse` takes so many. */
const MOST_COMPARED = 3;

export function nextSteps(alert: Alert): Markup {
  const advice = adviceOf(alert.kind);
  const written = alert.snapshots.filter((snapshot) => snapshot.outcome === 'written');
  return markup`<h2>What to do</h2>
    <ol class="steps">
      <li><b>Now.</b> ${advice.now}</li>
      <li><b>Then.</b> ${advice.fix}</li>
      <li>Read <code>${alert.docs}</code> in the folder of <code>@wsguard/agent</code>.</li>
    </ol>
    ${snapshotList(alert.snapshots)}
    ${
      written.length === 0
        ? null
        : markup`<h2>Look for yourself</h2>
          <p>${written.every(({ redacted }) => redacted) ? 'Values in the files are masked, names are not.' : markup`<b>Not redacted: the files hold secrets in clear text.</b>`}</p>
          ${written.map(({ file }) => command(`scp ${shell(`${alert.host}:${file}`)} .`))}
          ${devTools(written.map(({ file }) => file))}`
    }`;
}

/** DevTools has no command for it: a window is opened, the rest is two clicks. */
export function devTools(files: readonly string[]): Markup {
  const names = files.slice(-MOST_COMPARED).map((file) => file.split(/[\\/]/).at(-1) ?? file);
  const name = names.at(-1) ?? 'heap.heapsnapshot';
  const plain = name.replace(/\.gz$/, '');
  const unpack = name === plain ? '' : `gunzip -k ${shell(name)} && `;
  return markup`${command(`npx -p @wsguard/agent wsguard analyse ${names.map(shell).join(' ')}`)}
    ${command(`${unpack}google-chrome --auto-open-devtools-for-tabs about:blank`)}
    <p class="small soft">Then in DevTools: Memory, Load profile, and choose <code>${plain}</code>.</p>`;
}

function snapshotList(snapshots: readonly Snapshot[]): Markup | null {
  if (snapshots.length === 0) return null;
  return markup`<h2>Snapshots</h2>${snapshots.map((snapshot) => markup`<p>${snapshotLine(snapshot)}</p>`)}`;
}

function snapshotLine(snapshot: Snapshot): Markup {
  if (snapshot.outcome === 'written') {
    const { file, bytes, pauseMs, redacted } = snapshot;
    return markup`<code>${file}</code> <span class="soft">${formatBytes(bytes)}, the server stopped for ${formatDuration(pauseMs)}, ${redacted ? 'redacted' : 'not redacted'}</span>`;
  }
  if (snapshot.outcome === 'failed') {
    return markup`<span class="pill critical">failed</span> <code>${snapshot.code}</code> ${snapshot.reason}`;
  }
  const { reason, needBytes, haveBytes } = snapshot;
  const bytes =
    needBytes === undefined || haveBytes === undefined
      ? ''
      : ` (needs ${formatBytes(needBytes)}, has ${formatBytes(haveBytes)})`;
  return markup`<span class="pill warning">refused</span> ${reason}${bytes}`;
}

const command = (text: string): Markup =>
  markup`<div class="command"><code>${text}</code><button type="button" data-copy>Copy</button></div>`;

const shell = (text: string): string =>
  /^[\w./:@-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;

export function foot(alert: Alert): Markup {
  const version = alert.serviceVersion === null ? '' : ` ${alert.serviceVersion}`;
  const scale = alert.timeScale === undefined ? '' : `, time scale ${alert.timeScale}`;
  return markup`<footer>
    <p>${alert.service}${version}, instance ${alert.instance}, Node ${alert.nodeVersion}, agent ${alert.agentVersion}${scale}</p>
    <p>Alert <code>${alert.id}</code>, fingerprint <code>${alert.fingerprint}</code>.
      To mute it: <code>WSGUARD_MUTE=${alert.fingerprint}:&lt;date&gt;</code></p>
  </footer>`;
}
