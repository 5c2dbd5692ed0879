/**
 * A claim says which process takes the snapshots of a leak on a day. Processes with the same leak create it under the same
 * name, and the store lets one of them win.
 */

/** The content of a claim. */
export interface Claim {
  readonly schema: 'wsguard.claim/1';
  readonly alertId: string;
  readonly instance: string;
  readonly host: string;
  readonly pid: number;
  /** ISO time. */
  readonly claimedAt: string;
  /** `released`: the capture wrote no file, so another process may take over. */
  readonly state: 'capturing' | 'written' | 'released';
  /** The last snapshot, or the folder that it goes to. */
  readonly snapshot: string;
}

/** The process that asks. */
export interface Claimant {
  readonly instance: string;
  readonly host: string;
  readonly pid: number;
  /** Whether a process of this host is alive. */
  readonly isAlive: (pid: number) => boolean;
}

export interface ClaimSubject {
  readonly alertId: string;
  readonly fingerprint: string;
}

/** Why the store did not answer. */
export interface Unavailable {
  readonly reason: string;
}

/** Keeps claims under their names. Its promises resolve, whatever happens. */
export interface ClaimStore {
  /** Creates the claim unless it exists. */
  readonly create: (name: string, text: string) => Promise<'created' | 'exists' | Unavailable>;
  readonly read: (name: string) => Promise<string | Unavailable>;
  readonly replace: (name: string, text: string) => Promise<void>;
  /** The place of a claim, in words that a person can look up. */
  readonly placeOf: (name: string) => string;
  /** The place of a file of an alert where the other processes can read it; of its folder without a file. */
  readonly snapshotPlace: (alertId: string, file: string | null) => string;
}

/** Chosen: longer than a capture waits for its turn and for its deadline together. */
export const MAX_CAPTURING_MS = 15 * 60_000;

/** `<service>/<fingerprint>/<date>`. The date is that of UTC, so that all hosts agree. */
export function claimName(service: string, fingerprint: string, wallMs: number): string {
  const date = new Date(wallMs).toISOString().slice(0, 'yyyy-mm-dd'.length);
  return `${safeSegment(service)}/${fingerprint}/${date}`;
}

const MAX_SEGMENT_LENGTH = 100;

/** One part of a path. A service may be named `@scope/name` or `..`. */
const safeSegment = (text: string): string =>
  text
    .replace(/[^\w.@-]+/g, '-')
    .replace(/^[-.]+/, '')
    .slice(0, MAX_SEGMENT_LENGTH) || 'service';

/** Null when the text is not a claim. */
export function parseClaim(text: string): Claim | null {
  try {
    const claim = JSON.parse(text) as Partial<Claim> | null;
    const isClaim = claim?.schema === 'wsguard.claim/1' && typeof claim.snapshot === 'string';
    return isClaim ? (claim as Claim) : null;
  } catch {
    return null;
  }
}

/**
 * Whether this process may take the snapshots although the claim exists: the claim is its own, or its holder is gone or
 * took none.
 */
export function mayTakeOver(claim: Claim, alertId: string, claimant: Claimant, wallMs: number): boolean {
  if (claim.alertId === alertId || claim.instance === claimant.instance) return true;
  if (claim.state === 'released') return true;
  if (claim.host === claimant.host && !isHolderAlive(claim, claimant)) return true;
  return claim.state === 'capturing' && !(wallMs - Date.parse(claim.claimedAt) <= MAX_CAPTURING_MS);
}

/** In a container every process can have the pid 1: another instance with our pid is an earlier process. */
const isHolderAlive = ({ pid }: Claim, claimant: Claimant): boolean =>
  pid !== claimant.pid && claimant.isAlive(pid);
