/**
 * The preload of a server that `wsguard procedure` starts. It takes a snapshot for each request on the IPC channel, so that
 * neither a port nor a signal handler is needed.
 */
import { HeapAnalyzer } from '../../heap-analyzer.ts';
import { PROCEDURE_VARIABLE, type ProcedureAnswer, type ProcedureRequest } from './procedure-messages.ts';

/** Nobody is served during the procedure, so a long pause is acceptable. */
const PAUSE_BUDGET_MS = 600_000;

function answerRequests(snapshotDir: string): void {
  const analyzer = new HeapAnalyzer({ snapshotDir, pauseBudgetMs: PAUSE_BUDGET_MS });
  process.on('message', (message: Partial<ProcedureRequest> | null) => {
    const step = message?.wsguardProcedure;
    if (step === undefined) return;
    void analyzer.takeSnapshot(step).then((snapshot) => {
      const answer: ProcedureAnswer = { wsguardProcedure: step, snapshot };
      // The command has ended when the channel is closed.
      if (process.connected) process.send?.(answer, () => undefined);
    });
  });
  // The listener would keep a server alive that wants to end.
  process.channel?.unref();
}

const directory = process.env[PROCEDURE_VARIABLE];
// The processes that the server starts inherit the preload, and must not answer.
delete process.env[PROCEDURE_VARIABLE];
if (directory !== undefined && process.send !== undefined) answerRequests(directory);
