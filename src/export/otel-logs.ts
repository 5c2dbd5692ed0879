/** Log records on their way. Alerts are few and matter: they wait for a collector that is down, the SDK's own
 * processors would drop them. */
import type { LogRecordExporter, LogRecordProcessor, ReadableLogRecord } from '@opentelemetry/sdk-logs';
import type { Clock } from '../types/index.ts';

export type ExportResult = Parameters<Parameters<LogRecordExporter['export']>[1]>[0];

const MAX_PENDING_LOGS = 256;
const RETRY_LOGS_MS = 30_000;

export function createLogQueue(
  exporter: LogRecordExporter,
  clock: Clock,
  report: (result: ExportResult) => void,
) {
  let pending: ReadableLogRecord[] = [];
  let dropped = 0;
  let running: Promise<void> | null = null;
  let stopRetry: (() => void) | null = null;

  async function send(): Promise<void> {
    while (pending.length > 0) {
      const batch = pending;
      pending = [];
      const result = await exportLogs(exporter, batch);
      report(result);
      if (result.code === 0) continue;
      keep([...batch, ...pending]);
      stopRetry?.();
      stopRetry = clock.after(RETRY_LOGS_MS, () => void flush());
      return;
    }
  }

  function keep(records: readonly ReadableLogRecord[]): void {
    pending = records.slice(-MAX_PENDING_LOGS);
    dropped += records.length - pending.length;
  }

  function flush(): Promise<void> {
    running ??= send().finally(() => {
      running = null;
    });
    return running;
  }

  const processor: LogRecordProcessor & { dropped(): number } = {
    onEmit(record) {
      keep([...pending, record]);
      void flush();
    },
    forceFlush: flush,
    async shutdown() {
      stopRetry?.();
      await flush();
      stopRetry?.();
      await exporter.shutdown();
    },
    dropped: () => dropped,
  };
  return processor;
}

function exportLogs(exporter: LogRecordExporter, batch: ReadableLogRecord[]): Promise<ExportResult> {
  return new Promise((resolve) => {
    try {
      exporter.export(batch, resolve);
    } catch (error) {
      resolve({ code: 1, error: error as Error });
    }
  });
}
