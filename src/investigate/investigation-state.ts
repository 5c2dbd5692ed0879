/** State, events and actions of the investigation, and the draft in which a transition collects its changes. */
import type { Alert, AllocationProfile, Analysis, Culprit, Sample, Snapshot } from '../types/index.ts';
import { NO_TRAFFIC, type RefusedEntries, type Surroundings, type Traffic } from './ask-again.ts';

/** Results for an alert since its last update. */
export interface AlertUpdate {
  readonly snapshot?: Snapshot;
  readonly culprit?: Culprit;
  readonly culpritBecause?: string;
}

export type InvestigationEvent =
  /** An alert was opened, updated or closed. */
  | { readonly type: 'alert'; readonly alert: Alert }
  /** Reply to `locate-listener` or `locate-resources`; null when no line was found. */
  | { readonly type: 'line-located'; readonly alertId: string; readonly culprit: Culprit | null }
  | { readonly type: 'sample'; readonly sample: Sample; readonly isSuspected: boolean }
  /** Reply to `take-snapshot`. */
  | { readonly type: 'snapshot-ended'; readonly snapshot: Snapshot }
  /** Reply to `analyse`: the analysis, or the reason why there is none. */
  | { readonly type: 'analysis-ended'; readonly analysis: Analysis | string }
  /** Reply to `stop-profile`; null when none was running. */
  | { readonly type: 'profile-ended'; readonly profile: AllocationProfile | null }
  /** The agent stops. Every later event is ignored. */
  | { readonly type: 'stopped' };

export type InvestigationAction =
  | {
      readonly type: 'locate-listener';
      readonly alertId: string;
      readonly emitter: string;
      readonly event: string;
    }
  /** `resource` is a `ResourceType`. */
  | { readonly type: 'locate-resources'; readonly alertId: string; readonly resource: string }
  | { readonly type: 'take-snapshot'; readonly alertId: string; readonly label: string }
  | { readonly type: 'analyse'; readonly files: readonly string[] }
  | { readonly type: 'start-profile' }
  /** The first of two readings: only what grows until `stop-profile` is evidence. */
  | { readonly type: 'read-profile' }
  | { readonly type: 'stop-profile' }
  | { readonly type: 'attach-analysis'; readonly alertId: string; readonly analysis: Analysis }
  | { readonly type: 'update-alert'; readonly alertId: string; readonly update: AlertUpdate };

export type RoundPhase = 'waiting-for-snapshot' | 'waiting-for-traffic' | 'comparing' | 'waiting-for-profile';

export interface RoundAlert {
  readonly alert: Alert;
  /** False when the line is located already: the first snapshot, which shows what retains the data, is enough. */
  readonly needsComparison: boolean;
  /** A root cause was named, clear or not. */
  readonly isNamed: boolean;
}

export interface Round {
  readonly phase: RoundPhase;
  /** The alert whose folder takes the snapshots. */
  readonly folderAlertId: string;
  readonly alerts: ReadonlyMap<string, RoundAlert>;
  readonly snapshots: readonly Snapshot[];
  /** The files of the written snapshots. */
  readonly files: readonly string[];
  /** Connections opened since the start of the process, at each request for a snapshot. */
  readonly openedAtSnapshot: readonly number[];
  readonly requestedAtMs: number;
  /** A snapshot or an analysis was refused: choose a root cause from the results so far and end. */
  readonly isLastAttempt: boolean;
  readonly analysis: Analysis | null;
  readonly profile: AllocationProfile | null;
  /** Why no root cause is named yet; null until the first snapshot ended. */
  readonly culpritBecause: string | null;
}

interface FollowedAlert {
  /** The alert with its latest kind: a more specific finding may rename it. */
  readonly alert: Alert;
  /** It has joined a round, or the quota refused it. */
  readonly hasJoined: boolean;
}

type ProfileState =
  | { readonly state: 'off' }
  | { readonly state: 'running'; readonly suspectedAtMs: number }
  | { readonly state: 'stopping' };

export interface InvestigationState {
  /** WSGUARD_TIME_SCALE: 60 makes a second count as a minute. */
  readonly timeScale: number;
  readonly isStopped: boolean;
  readonly followed: ReadonlyMap<string, FollowedAlert>;
  /** Null: idle. */
  readonly round: Round | null;
  /** Start times of the rounds within the last day. */
  readonly roundsStartedAtMs: readonly number[];
  readonly profile: ProfileState;
  /** Since the start of the process, in the last sample. */
  readonly connectionsOpened: number;
  readonly emitters: Sample['emitters'];
  readonly traffic: Traffic;
  /** The process in the last sample; null before the first. */
  readonly surroundings: Surroundings | null;
  /** Alerts whose first snapshot was refused. */
  readonly refused: RefusedEntries<RoundAlert>;
}

export const initialState = (timeScale: number): InvestigationState => ({
  timeScale,
  isStopped: false,
  followed: new Map(),
  round: null,
  roundsStartedAtMs: [],
  profile: { state: 'off' },
  connectionsOpened: 0,
  emitters: [],
  traffic: NO_TRAFFIC,
  surroundings: null,
  refused: new Map(),
});

/** The next state and the actions on the way to it. It never changes the state that it was made from. */
export class Draft {
  readonly nowMs: number;
  readonly actions: InvestigationAction[] = [];
  state: InvestigationState;

  constructor(state: InvestigationState, nowMs: number) {
    this.state = state;
    this.nowMs = nowMs;
  }

  change(change: Partial<InvestigationState>): void {
    this.state = { ...this.state, ...change };
  }

  /** Changes the round that is under way. */
  changeRound(round: Round, change: Partial<Round>): Round {
    const next = { ...round, ...change };
    this.change({ round: next });
    return next;
  }

  follow(alertId: string, followed: FollowedAlert | null): void {
    this.change({ followed: withEntry(this.state.followed, alertId, followed) });
  }

  act(action: InvestigationAction): void {
    this.actions.push(action);
  }

  update(alertId: string, update: AlertUpdate): void {
    this.act({ type: 'update-alert', alertId, update });
  }
}

/** A copy of the map with the entry set, or removed when it is null. */
export function withEntry<T>(
  map: ReadonlyMap<string, T>,
  key: string,
  value: T | null,
): ReadonlyMap<string, T> {
  const copy = new Map(map);
  if (value === null) copy.delete(key);
  else copy.set(key, value);
  return copy;
}
