/**
 * The claims of this watcher: in the S3 bucket where snapshots are uploaded, else in a directory that several processes can
 * share.
 */
import type * as S3ClaimStoreModule from '../deliver/claims/s3-claim-store.ts';
import { createFolderClaimStore } from '../deliver/claims/folder-claim-store.ts';
import { createSnapshotClaims, type TakeClaim } from '../deliver/claims/snapshot-claims.ts';
import type { ClaimStore } from '../deliver/claims/claim.ts';
import { isProcessAlive } from '../core/process.ts';
import type { WatcherContext } from './context.ts';
import { s3TargetOf } from './s3-target.ts';

/** Null: every process takes its own snapshots. */
export function createClaims(context: WatcherContext): TakeClaim | null {
  const { setup, clock, log, guard } = context;
  const store = guard.run('claims', () => createStore(context), null);
  if (store === null) return null;
  const { service, instance, host, pid } = setup.identity;
  return createSnapshotClaims({
    store,
    service,
    claimant: { instance, host, pid, isAlive: isProcessAlive },
    clock,
    onUnavailable: (problem) =>
      log.warn(problem, 'no answer to the question which instance takes the snapshots, so this one does'),
  });
}

/** A file with text in clear is not uploaded, so no other instance could read it. */
function createStore(context: WatcherContext): ClaimStore | null {
  const { config, isDirSet, noFilesReason } = context.setup;
  const target = config.redact === 'on' ? s3TargetOf(context) : null;
  if (target !== null) {
    const { createS3ClaimStore } =
      require('../deliver/claims/s3-claim-store.ts') as typeof S3ClaimStoreModule;
    return createS3ClaimStore(target, config.s3Prefix ?? '');
  }
  return isDirSet && noFilesReason === null ? createFolderClaimStore(config.dir) : null;
}
