/**
 * Exports log records and keeps them while the collector is down. Alerts are few and matter, and the processors of the
 * SDK would drop them after one failed export.
 */
import type { LogRecordExporter, LogRecordProcessor, ReadableLogRecord } from '@opentelemetry/sdk-logs';
import type { Clock } from '../types/index.ts';

export type ExportResult = Parameters<Parameters<LogRecordExporter['export']>[1]>[0];

/** docs/metrics.md promises this number. */
const MAX_PENDING_RECORDS = 256;
const RETRY_DELAY_MS = 30_000;

export type LogRecordQueue = LogRecordProcessor & {
  /** Number of records that were dropped because the queue was full. */
  dropped(): number;
};

export function createLogRecordQueue(
  exporter: LogRecordExporter,
  clock: Clock,
  onResult: (result: ExportResult) => void,
): LogRecordQueue {
  let pending: ReadableLogRecord[] = [];
  let dropped = 0;
  let running: Promise<void> | null = null;
  let cancelRetry: (() => void) | null = null;

  async function exportPending(): Promise<void> {
    while (pending.length > 0) {
      const batch = pending;
      pending = [];
      const result = await exportBatch(exporter, batch);
      onResult(result);
      if (result.code === 0) continue;
      setPending([...batch, ...pending]);
      cancelRetry?.();
      cancelRetry = clock.after(RETRY_DELAY_MS, () => void flush());
      return;
    }
  }

  function setPending(records: readonly ReadableLogRecord[]): void {
    pending = records.slice(-MAX_PENDING_RECORDS);
    dropped += records.length - pending.length;
  }

  function flush(): Promise<void> {
    running ??= exportPending().finally(() => {
      running = null;
    });
    return running;
  }

  return {
    onEmit(record) {
      setPending([...pending, record]);
      void flush();
    },
    forceFlush: flush,
    async shutdown() {
      cancelRetry?.();
      await flush();
      cancelRetry?.();
      await exporter.shutdown();
    },
    dropped: () => dropped,
  };
}

function exportBatch(exporter: LogRecordExporter, batch: ReadableLogRecord[]): Promise<ExportResult> {
  return new Promise((resolve) => {
    try {
      exporter.export(batch, resolve);
    } catch (error) {
      resolve({ code: 1, error: error as Error });
    }
  });
}
