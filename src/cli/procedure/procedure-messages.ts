/** The messages between `wsguard procedure` and the server that it started, on the IPC channel of the child process. */
import type { ProcedureStep } from '../../heap-analyzer.ts';
import type { Snapshot } from '../../types/index.ts';

/** The directory of the snapshots. It is no setting, so its name is unlike one. */
export const PROCEDURE_VARIABLE = 'wsguard_procedure_dir';

export interface ProcedureRequest {
  readonly wsguardProcedure: ProcedureStep;
}

export interface ProcedureAnswer extends ProcedureRequest {
  readonly snapshot: Snapshot;
}
