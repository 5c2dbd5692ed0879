/** Runs a function of the application whose error must not stop the work on other connections. */

/** The error becomes a process warning, which Node prints and `process.on('warning')` receives. */
export function callSafely(part: string, run: () => void): void {
  try {
    run();
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.emitWarning(`${part} failed: ${text}`, { type: 'WsguardRemedyWarning' });
  }
}
