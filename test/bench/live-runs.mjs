// The two kinds of run in the live benchmark: until the agent names the leak, or for a time without any alert.
import { relative } from 'node:path';
import lab from '../../fixtures/lab.js';

const brief = (alert) => ({
  kind: alert.kind,
  severity: alert.severity,
  title: alert.title,
  event: alert.event,
  afterS: Math.round(alert.seenAfterMs / 100) / 10,
});

/** Whether the root cause is at the marked line. Without a mark every line is right. */
function judgeCulprit(culprit, file, line) {
  if (!culprit) return { text: null, place: null, right: false };
  const place = culprit.file ? `${relative(lab.ROOT, culprit.file)}:${culprit.line}` : null;
  return {
    text: culprit.text,
    place,
    right: line === null || (culprit.file === file && culprit.line === line),
  };
}

/** Runs until an alert has a right kind and a right root cause, at most `limitMs`. `line`: the marked line, if any. */
export async function findLeak({ name, kinds, start, limitMs, lineOf = () => null }) {
  const running = await start();
  const { app, file } = running;
  try {
    const line = lineOf(file);
    const isRight = ({ kind, event }) => event !== 'closed' && kinds.includes(kind);
    const isDone = () =>
      app.transitions().some(isRight) &&
      app.alerts().some((alert) => isRight(alert) && judgeCulprit(alert.culprit, file, line).right);
    for (const until = Date.now() + limitMs; Date.now() < until && !app.over() && !isDone();)
      await lab.sleep(250);
    const right = app.transitions().find(isRight);
    const last = app.alerts().find(({ id }) => id === (right ?? app.opened()[0])?.id);
    return {
      name,
      // The last kind counts: an alert that was right and then changed its kind is wrong.
      ok: right !== undefined && kinds.includes(last.kind) && app.over() === null,
      expected: kinds,
      kind: last?.kind ?? null,
      firstAlertS: app.opened()[0] ? brief(app.opened()[0]).afterS : null,
      rightKindS: right ? brief(right).afterS : null,
      opened: app.opened().map(brief),
      line,
      culprit: judgeCulprit(last?.culprit, file, line),
      culpritBecause: last?.culpritBecause ?? null,
      snapshots: last?.snapshots ?? [],
      died: app.over(),
      stderr: app.stderr().slice(-1500),
    };
  } catch (error) {
    return { name, ok: false, expected: kinds, error: error.message };
  } finally {
    await running.stop();
  }
}

/** Runs a server that does not leak. Every alert is a false one. */
export async function staySilent({ name, start, forMs }) {
  let running;
  try {
    running = await start();
    for (const until = Date.now() + forMs; Date.now() < until && !running.app.over();) await lab.sleep(500);
    const alerts = running.app.opened();
    const died = running.app.over();
    return {
      name,
      ok: alerts.length === 0 && died === null,
      minutes: forMs / 60_000,
      alerts: alerts.map((alert) => ({ ...brief(alert), evidence: alert.evidence, also: alert.also })),
      died,
      ...(died ? { stderr: running.app.stderr().slice(-1500) } : {}),
    };
  } catch (error) {
    return { name, ok: false, minutes: 0, alerts: [], error: error.message };
  } finally {
    await running?.stop();
  }
}

const verdict = (ok) => (ok ? 'ok  ' : 'FAIL');

export function formatLeak(part, one) {
  if (one.error) return `${verdict(false)} ${part} ${one.name}: ${one.error}`;
  const { culprit } = one;
  const where = culprit.place ?? culprit.text ?? one.culpritBecause ?? 'none';
  const wanted = one.line === null ? '' : culprit.right ? ' (right)' : ` (wanted line ${one.line})`;
  const lines = [
    `${verdict(one.ok)} ${part.padEnd(7)} ${one.name.padEnd(26)} ${String(one.kind).padEnd(22)} after ${one.rightKindS ?? '-'} s; ` +
      `culprit ${where}${wanted}; snapshots: ${one.snapshots.map((shot) => shot.outcome).join(', ') || 'none'}`,
  ];
  if (!one.ok)
    lines.push(`       expected ${one.expected.join(' or ')}; opened ${JSON.stringify(one.opened)}`);
  if (one.died) lines.push(`       the server died: ${JSON.stringify(one.died)} ${one.stderr}`);
  return lines.join('\n');
}

export function formatSilence(part, one) {
  const lines = [
    `${verdict(one.ok)} ${part.padEnd(7)} ${one.name.padEnd(26)} ${one.ok ? `silent for ${one.minutes} min` : (one.error ?? 'NOT silent')}`,
  ];
  for (const alert of one.alerts) lines.push(`       ${JSON.stringify(alert)}`);
  if (one.died) lines.push(`       the server died: ${JSON.stringify(one.died)} ${one.stderr}`);
  return lines.join('\n');
}
