/** Asks whether this process takes the snapshots of a leak, so that of many processes with the same leak one does. */
import { failed, refused } from '../../core/outcome.ts';
import type { Clock, Refused, Snapshot } from '../../types/index.ts';
import {
  claimName,
  mayTakeOver,
  parseClaim,
  type Claim,
  type Claimant,
  type ClaimStore,
  type ClaimSubject,
  type Unavailable,
} from './claim.ts';

interface ClaimOptions {
  readonly store: ClaimStore;
  readonly service: string;
  readonly claimant: Claimant;
  readonly clock: Clock;
  /** The store did not answer. The snapshot is taken, because evidence counts more than economy. */
  readonly onUnavailable: (problem: { readonly code: string; readonly reason: string }) => void;
}

interface Claimed {
  readonly outcome: 'claimed';
  /** Why the snapshot is taken without a claim; null with one. */
  readonly notClaimedBecause: string | null;
  /** Call it with the outcome of the snapshot. Without a file another process may take over. */
  readonly end: (snapshot: Snapshot) => Promise<void>;
}

/** The process that holds a leak's claim takes all snapshots of the leak on that day. */
export type TakeClaim = (subject: ClaimSubject) => Promise<Claimed | Refused>;

/** Chosen: an alert waits no longer than this for the answer of the store. */
const DEADLINE_MS = 5_000;

/** Never rejects. */
export function createSnapshotClaims(options: ClaimOptions): TakeClaim {
  const { store, service, claimant, clock, onUnavailable } = options;
  /** Names of the claims that this process holds. A process without the right to read knows its claims from here. */
  const ownNames = new Set<string>();

  async function ask(
    name: string,
    text: string,
    alertId: string,
  ): Promise<'claimed' | Refused | Unavailable> {
    if (ownNames.has(name)) return 'claimed';
    const created = await store.create(name, text);
    if (created === 'created') return 'claimed';
    if (created !== 'exists') return created;
    const content = await store.read(name);
    const claim = typeof content === 'string' ? parseClaim(content) : null;
    if (claim !== null && mayTakeOver(claim, alertId, claimant, clock.wallMs())) {
      await store.replace(name, text);
      return 'claimed';
    }
    return refused(`another instance has the snapshot: ${claim?.snapshot ?? store.placeOf(name)}`);
  }

  return async (subject) => {
    const { alertId, fingerprint } = subject;
    const wallMs = clock.wallMs();
    const name = claimName(service, fingerprint, wallMs);
    const claim: Claim = {
      schema: 'wsguard.claim/1',
      alertId,
      instance: claimant.instance,
      host: claimant.host,
      pid: claimant.pid,
      claimedAt: new Date(wallMs).toISOString(),
      state: 'capturing',
      snapshot: store.snapshotPlace(alertId, null),
    };
    const answer = await withDeadline(ask(name, textOf(claim), alertId), clock);
    if (answer !== 'claimed' && 'outcome' in answer) return answer;
    if (answer !== 'claimed') {
      onUnavailable(failed('WSGUARD_CLAIM_UNAVAILABLE', answer.reason));
      return { outcome: 'claimed', notClaimedBecause: answer.reason, end: () => Promise.resolve() };
    }
    ownNames.add(name);
    const end = async (snapshot: Snapshot): Promise<void> => {
      if (snapshot.outcome !== 'written') ownNames.delete(name);
      await withDeadline(store.replace(name, textOf(ended(claim, snapshot, store))), clock);
    };
    return { outcome: 'claimed', notClaimedBecause: null, end };
  };
}

const ended = (claim: Claim, snapshot: Snapshot, store: ClaimStore): Claim =>
  snapshot.outcome === 'written'
    ? { ...claim, state: 'written', snapshot: store.snapshotPlace(claim.alertId, snapshot.file) }
    : { ...claim, state: 'released' };

const textOf = (claim: Claim): string => `${JSON.stringify(claim)}\n`;

function withDeadline<T>(answer: Promise<T>, clock: Clock): Promise<T | Unavailable> {
  return new Promise((resolve) => {
    const cancel = clock.after(DEADLINE_MS, () =>
      resolve({ reason: `no answer in ${DEADLINE_MS / 1000} s` }),
    );
    void answer.then((value) => {
      cancel();
      resolve(value);
    });
  });
}
