/**
 * Follows each leak alert to its root cause: the line that registered a listener, then up to three heap snapshots, the
 * analysis of what grew between them, and an allocation profile. `transition` is a pure state machine. A runner executes
 * the actions that it returns and feeds the results back as events.
 *
 * One series of snapshots (a round) runs at a time. Alerts that open meanwhile join it and share its results. When the
 * first snapshot of a round is refused, a new round follows as soon as the answer may be another one.
 *
 *   idle -> waiting-for-snapshot -> waiting-for-traffic -> waiting-for-snapshot -> comparing -> waiting-for-profile
 *   -> idle (a clear root cause, or the third snapshot), else -> waiting-for-traffic
 */
import { capturesEvidence, showsLineOf } from '../kinds/index.ts';
import type { Alert, AllocationProfile, Analysis, Culprit, Sample, Snapshot } from '../types/index.ts';
import { addTraffic, afterAnswer, isWorthAsking, surroundingsOf } from './ask-again.ts';
import {
  Draft,
  withEntry,
  type InvestigationAction,
  type InvestigationEvent,
  type InvestigationState,
  type Round,
  type RoundAlert,
  type RoundPhase,
} from './investigation-state.ts';
import { chooseRootCause, isClear, isInApplication } from './root-cause.ts';

/** Chosen, not measured: a leak of one object per connection then shows as hundreds of objects of one class. */
const CONNECTIONS_BETWEEN_SNAPSHOTS = 200;
/** Chosen: the window of the connection detectors (docs/detection.md), in which a leak that they found has grown. */
const MAX_WAIT_MS = 15 * 60_000;
/** Chosen so that the two waits between three snapshots take half of the time that is left until the memory limit. */
const SHARE_OF_TIME_TO_LIMIT = 0.25;
/** The analysis compares at most three (docs/cli.md, `wsguard analyse`). */
const MAX_SNAPSHOTS = 3;
/** Chosen: each snapshot stops the server, so at most 18 stops a day, however many alerts open. */
const MAX_ROUNDS_PER_DAY = 6;
const DAY_MS = 24 * 3_600_000;
/** Chosen: one detection window, so that a suspicion that comes and goes does not restart the profile each time. */
const PROFILE_LINGER_MS = 15 * 60_000;

const WAITING_FOR_SECOND =
  `investigating: the first snapshot is taken, a second one follows after ` +
  `${CONNECTIONS_BETWEEN_SNAPSHOTS} more connections or ${MAX_WAIT_MS / 60_000} min`;

export interface Transition {
  readonly state: InvestigationState;
  readonly actions: readonly InvestigationAction[];
}

export type Phase = RoundPhase | 'idle' | 'stopped';

export const phaseOf = ({ isStopped, round }: InvestigationState): Phase =>
  isStopped ? 'stopped' : (round?.phase ?? 'idle');

/** Pure. A reply that the state does not wait for changes nothing. */
export function transition(state: InvestigationState, event: InvestigationEvent, nowMs: number): Transition {
  if (state.isStopped) return { state, actions: [] };
  const draft = new Draft(state, nowMs);
  switch (event.type) {
    case 'alert':
      onAlert(draft, event.alert);
      break;
    case 'line-located':
      onLineLocated(draft, event.alertId, event.culprit);
      break;
    case 'sample':
      onSample(draft, event.sample, event.isSuspected);
      break;
    case 'snapshot-ended':
      onSnapshotEnded(draft, event.snapshot);
      break;
    case 'analysis-ended':
      onAnalysisEnded(draft, event.analysis);
      break;
    case 'profile-ended':
      onProfileEnded(draft, event.profile);
      break;
    case 'stopped':
      draft.change({ isStopped: true, round: null, followed: new Map() });
  }
  return { state: draft.state, actions: draft.actions };
}

function onAlert(draft: Draft, alert: Alert): void {
  const { id, kind, event } = alert;
  if (event === 'closed') {
    draft.follow(id, null);
    draft.change({ refused: withEntry(draft.state.refused, id, null) });
    leaveRound(draft, id);
    return;
  }
  const before = draft.state.followed.get(id);
  if (!capturesEvidence(kind) || before?.alert.kind === kind) return;
  draft.follow(id, { alert, hasJoined: before?.hasJoined ?? false });
  const lineOf = showsLineOf(kind);
  if (lineOf === 'listener') locateListener(draft, alert);
  else if (lineOf === 'resource')
    draft.act({ type: 'locate-resources', alertId: id, resource: alert.subject });
  else if (before === undefined) joinRound(draft, alert, { isLocated: false, isNamed: false });
}

function locateListener(draft: Draft, { id, subject }: Alert): void {
  const row = draft.state.emitters.find(({ emitter, event }) => subject === `${emitter} ${event}`);
  if (row === undefined) onLineLocated(draft, id, null);
  else draft.act({ type: 'locate-listener', alertId: id, emitter: row.emitter, event: row.event });
}

function onLineLocated(draft: Draft, alertId: string, culprit: Culprit | null): void {
  const followed = draft.state.followed.get(alertId);
  if (followed === undefined) return;
  // A line in Node or in a package does not say which code of the application is at fault, so the search goes on.
  const isLocated = culprit !== null && isInApplication(culprit);
  if (!followed.hasJoined) joinRound(draft, followed.alert, { isLocated, isNamed: culprit !== null });
  else if (isLocated) endSearch(draft, alertId);
  if (culprit !== null) draft.update(alertId, { culprit });
}

/** An alert whose line is known needs no comparison. It still gets the snapshot that is under way. */
function endSearch(draft: Draft, alertId: string): void {
  const { round } = draft.state;
  const entry = round?.phase === 'waiting-for-snapshot' ? round.alerts.get(alertId) : undefined;
  if (round === null || entry === undefined) leaveRound(draft, alertId);
  else {
    const located: RoundAlert = { ...entry, needsComparison: false, isNamed: true };
    draft.changeRound(round, { alerts: withEntry(round.alerts, alertId, located) });
  }
}

interface RootCauseSoFar {
  /** A line of the application is named. */
  readonly isLocated: boolean;
  /** Any root cause is named. */
  readonly isNamed: boolean;
}

function joinRound(draft: Draft, alert: Alert, { isLocated, isNamed }: RootCauseSoFar): void {
  draft.follow(alert.id, { alert, hasJoined: true });
  const entry: RoundAlert = { alert, needsComparison: !isLocated, isNamed };
  const { round } = draft.state;
  if (round !== null) {
    shareSnapshots(draft, round, entry);
    const isDone = isLocated && round.snapshots.length > 0;
    if (!isDone) draft.changeRound(round, { alerts: withEntry(round.alerts, alert.id, entry) });
    return;
  }
  if (roundsOfTheDay(draft).length >= MAX_ROUNDS_PER_DAY) {
    const reason = `${MAX_ROUNDS_PER_DAY} rounds of snapshots were taken within a day, the quota is used up`;
    const snapshot: Snapshot = { outcome: 'refused', reason };
    draft.update(alert.id, isNamed ? { snapshot } : { snapshot, culpritBecause: `no snapshot: ${reason}` });
    return;
  }
  startRound(draft, [entry]);
}

function startRound(draft: Draft, entries: readonly RoundAlert[]): void {
  draft.change({ roundsStartedAtMs: [...roundsOfTheDay(draft), draft.nowMs] });
  takeSnapshot(draft, newRound(entries));
}

/** An alert that joins late gets the snapshots so far, and with the last one the reason why nothing is named yet. */
function shareSnapshots(draft: Draft, { snapshots, culpritBecause }: Round, entry: RoundAlert): void {
  snapshots.forEach((snapshot, index) => {
    const explains = index === snapshots.length - 1 && !entry.isNamed && culpritBecause !== null;
    draft.update(entry.alert.id, explains ? { snapshot, culpritBecause } : { snapshot });
  });
}

function roundsOfTheDay({ state, nowMs }: Draft): number[] {
  const dayAgoMs = nowMs - DAY_MS / state.timeScale;
  return state.roundsStartedAtMs.filter((startedAtMs) => startedAtMs >= dayAgoMs);
}

const newRound = (entries: readonly RoundAlert[]): Round => ({
  phase: 'waiting-for-snapshot',
  folderAlertId: entries[0]?.alert.id ?? '',
  alerts: new Map(entries.map((entry) => [entry.alert.id, entry])),
  snapshots: [],
  files: [],
  openedAtSnapshot: [],
  requestedAtMs: 0,
  isLastAttempt: false,
  analysis: null,
  profile: null,
  culpritBecause: null,
});

/** A round without alerts ends now, or with the reply that it waits for. */
function leaveRound(draft: Draft, alertId: string): void {
  const { round } = draft.state;
  if (round === null || !round.alerts.has(alertId)) return;
  const { phase, alerts } = draft.changeRound(round, { alerts: withEntry(round.alerts, alertId, null) });
  if (alerts.size === 0 && phase === 'waiting-for-traffic') draft.change({ round: null });
}

/** The connections are counted here, because redaction goes on long after the heap was written. */
function takeSnapshot(draft: Draft, round: Round): void {
  draft.changeRound(round, {
    phase: 'waiting-for-snapshot',
    openedAtSnapshot: [...round.openedAtSnapshot, draft.state.connectionsOpened],
    requestedAtMs: draft.nowMs,
  });
  const isFirst = round.snapshots.length === 0;
  if (isFirst && draft.state.profile.state === 'running') draft.act({ type: 'read-profile' });
  const label = `${round.snapshots.length + 1}`;
  draft.act({ type: 'take-snapshot', alertId: round.folderAlertId, label });
}

function onSnapshotEnded(draft: Draft, snapshot: Snapshot): void {
  const before = draft.state.round;
  if (before?.phase !== 'waiting-for-snapshot') return;
  const isWritten = snapshot.outcome === 'written';
  const culpritBecause = reasonAfter(snapshot, before);
  const alerts = publishSnapshot(draft, before, { snapshot, culpritBecause });
  const round = draft.changeRound(before, {
    alerts,
    snapshots: [...before.snapshots, snapshot],
    files: isWritten ? [...before.files, snapshot.file] : before.files,
    isLastAttempt: !isWritten,
    culpritBecause: culpritBecause ?? before.culpritBecause,
  });
  const { files } = round;
  if (alerts.size === 0) draft.change({ round: null });
  else if (isWritten ? files.length === 1 : files.length === 0) waitForTraffic(draft, round);
  else if (isWritten || files.length === 1) analyse(draft, round);
  else readProfile(draft, round);
}

/** Gives the outcome to the alerts of the round. Returns those that wait for more. */
function publishSnapshot(
  draft: Draft,
  round: Round,
  { snapshot, culpritBecause }: { readonly snapshot: Snapshot; readonly culpritBecause: string | null },
): ReadonlyMap<string, RoundAlert> {
  const waiting = new Map(round.alerts);
  const refusedBefore = rememberRefusals(draft, snapshot, round);
  for (const [id, { needsComparison, isNamed }] of round.alerts) {
    const explains = needsComparison && !isNamed && culpritBecause !== null;
    // A repeated refusal is no news, and the profile was read after the first one.
    if (!refusedBefore.has(id)) draft.update(id, explains ? { snapshot, culpritBecause } : { snapshot });
    if (!needsComparison || refusedBefore.has(id)) waiting.delete(id);
  }
  return waiting;
}

/** Returns the alerts that were refused before. A round whose first snapshot is refused does not count for the quota. */
function rememberRefusals(
  draft: Draft,
  { outcome }: Snapshot,
  { alerts, files }: Round,
): ReadonlySet<string> {
  const { surroundings, refused, roundsStartedAtMs } = draft.state;
  const isRefused = outcome === 'refused';
  if (files.length > 0) return new Set();
  draft.change({
    refused: afterAnswer(refused, alerts, isRefused ? surroundings : null),
    roundsStartedAtMs: isRefused ? roundsStartedAtMs.slice(0, -1) : roundsStartedAtMs,
  });
  return new Set(isRefused ? refused.keys() : []);
}

/** Starts a round for the refused alerts when the answer may be another one now. */
function askAgain(draft: Draft): void {
  const { refused, surroundings, timeScale, followed } = draft.state;
  if (surroundings === null) return;
  const isDue = [...refused.values()].some((each) =>
    isWorthAsking(each.surroundings, surroundings, timeScale),
  );
  if (!isDue || roundsOfTheDay(draft).length >= MAX_ROUNDS_PER_DAY) return;
  // A more specific finding may have renamed the alert.
  startRound(
    draft,
    [...refused].map(([id, { entry }]) => ({ ...entry, alert: followed.get(id)?.alert ?? entry.alert })),
  );
}

/** Null when a snapshot can be compared now: the reason given before still holds. */
function reasonAfter(snapshot: Snapshot, { files }: Round): string | null {
  if (snapshot.outcome === 'written') return files.length === 0 ? WAITING_FOR_SECOND : null;
  const missing = ['no snapshot', 'no second snapshot to compare with', 'no third snapshot'][files.length];
  return `${missing}: ${snapshot.reason}`;
}

const waitForTraffic = (draft: Draft, round: Round): Round =>
  draft.changeRound(round, { phase: 'waiting-for-traffic' });

function analyse(draft: Draft, round: Round): void {
  draft.changeRound(round, { phase: 'comparing' });
  draft.act({ type: 'analyse', files: round.files });
}

function onSample(draft: Draft, sample: Sample, isSuspected: boolean): void {
  const opened = Object.values(sample.connections.openedTotal);
  const connectionsOpened = opened.reduce((sum, count) => sum + count, 0);
  const traffic = addTraffic(draft.state.traffic, sample);
  const surroundings = surroundingsOf(sample, traffic, draft.nowMs);
  draft.change({ connectionsOpened, emitters: sample.emitters, traffic, surroundings });
  scheduleProfile(draft, isSuspected);
  const { round } = draft.state;
  if (round === null) askAgain(draft);
  if (round?.phase !== 'waiting-for-traffic' || !isTrafficEnough(draft, round)) return;
  if (round.isLastAttempt) readProfile(draft, round);
  else takeSnapshot(draft, round);
}

function isTrafficEnough({ state, nowMs }: Draft, round: Round): boolean {
  const timesToLimitMs = [...round.alerts.values()].flatMap(({ alert }) => alert.timeToLimit?.ms ?? []);
  const waitMs = Math.min(
    MAX_WAIT_MS / state.timeScale,
    ...timesToLimitMs.map((ms) => ms * SHARE_OF_TIME_TO_LIMIT),
  );
  const opened = state.connectionsOpened - (round.openedAtSnapshot.at(-1) ?? 0);
  return opened >= CONNECTIONS_BETWEEN_SNAPSHOTS || nowMs - round.requestedAtMs >= waitMs;
}

/** An allocation profile writes no file and does not stop the server, so it runs while a leak is only suspected. */
function scheduleProfile(draft: Draft, isSuspected: boolean): void {
  const { profile, timeScale } = draft.state;
  const { nowMs } = draft;
  if (isSuspected && profile.state !== 'stopping') {
    if (profile.state === 'off') draft.act({ type: 'start-profile' });
    draft.change({ profile: { state: 'running', suspectedAtMs: nowMs } });
  } else if (profile.state === 'running' && nowMs - profile.suspectedAtMs > PROFILE_LINGER_MS / timeScale) {
    stopProfile(draft);
  }
}

function stopProfile(draft: Draft): void {
  draft.change({ profile: { state: 'stopping' } });
  draft.act({ type: 'stop-profile' });
}

function onAnalysisEnded(draft: Draft, analysis: Analysis | string): void {
  const { round } = draft.state;
  if (round?.phase !== 'comparing') return;
  if (round.alerts.size === 0) draft.change({ round: null });
  else if (typeof analysis !== 'string') readProfile(draft, { ...round, analysis });
  else if (round.isLastAttempt) readProfile(draft, round);
  else {
    const culpritBecause = `the snapshots were not analysed: ${analysis}`;
    explain(draft, round, culpritBecause);
    // Further snapshots would not be analysed either, but the profile may show a line.
    readProfile(draft, { ...round, isLastAttempt: true, culpritBecause });
  }
}

/** Reads it as late as possible, because it then covers the most allocations. */
function readProfile(draft: Draft, round: Round): void {
  const waiting = draft.changeRound(round, { phase: 'waiting-for-profile' });
  const { profile } = draft.state;
  if (round.profile !== null || profile.state === 'off') nameRootCauses(draft, waiting);
  else if (profile.state === 'running') stopProfile(draft);
}

function onProfileEnded(draft: Draft, profile: AllocationProfile | null): void {
  if (draft.state.profile.state !== 'stopping') return;
  draft.change({ profile: { state: 'off' } });
  const { round } = draft.state;
  if (round?.phase === 'waiting-for-profile')
    nameRootCauses(draft, { ...round, profile: round.profile ?? profile });
}

function nameRootCauses(draft: Draft, before: Round): void {
  const { analysis, profile, openedAtSnapshot, isLastAttempt } = before;
  const connectionsOpened = (openedAtSnapshot.at(-1) ?? 0) - (openedAtSnapshot[0] ?? 0);
  const alerts = new Map(before.alerts);
  for (const [id, entry] of before.alerts) {
    if (analysis !== null) draft.act({ type: 'attach-analysis', alertId: id, analysis });
    // A root cause from a comparison is better than one from what is left after a refusal.
    if (isLastAttempt && entry.isNamed) continue;
    const culprit = chooseRootCause(entry.alert, { analysis, profile, connectionsOpened });
    if (culprit === null) continue;
    draft.update(id, { culprit });
    const refusal = draft.state.refused.get(id);
    const named = { ...entry, isNamed: true };
    if (isClear(culprit)) alerts.delete(id);
    else alerts.set(id, named);
    if (refusal !== undefined)
      draft.change({ refused: withEntry(draft.state.refused, id, { ...refusal, entry: named }) });
  }
  const round = draft.changeRound(before, { alerts, analysis: null });
  if (alerts.size === 0 || isLastAttempt) draft.change({ round: null });
  else if (round.snapshots.length < MAX_SNAPSHOTS) waitForTraffic(draft, round);
  else {
    explain(draft, round, 'the snapshots do not show one container that grows');
    draft.change({ round: null });
  }
}

/** Gives the reason to every alert without a root cause. */
function explain(draft: Draft, { alerts }: Round, culpritBecause: string): void {
  for (const [id, { isNamed }] of alerts) if (!isNamed) draft.update(id, { culpritBecause });
}
