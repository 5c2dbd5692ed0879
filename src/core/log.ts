/**
 * The log: JSON lines on stderr. The watcher thread writes them with pino. The application thread, where the agent loads no
 * package, writes the same shape with a few lines of code. Both write at once, so that no line is lost in a crash, and drop a
 * line rather than wait for a reader.
 */
import { hostname } from 'node:os';
import type { Clock, Log, LogFields, LogLevel } from '../types/index.ts';
import { escapeControls } from './safe-text.ts';
import { createStderrWriter, type StderrFile } from './stderr.ts';

export interface LogOptions {
  readonly level: LogLevel | 'silent';
  readonly clock: Clock;
  /** `watcher` loads pino; `app` loads no package. */
  readonly thread: 'app' | 'watcher';
  /** The file that stderr was when the process started. */
  readonly stderr?: StderrFile;
  /** Receives one line with its line break. The default writes to stderr. */
  readonly write?: (line: string) => void;
}

const LEVELS: Readonly<Record<LogLevel, number>> = { debug: 20, info: 30, warn: 40, error: 50 };
/** A repeated line within this time is only counted; the next line after it has the count as `repeated`. */
const REPEAT_WINDOW_MS = 10 * 60_000;
const MAX_REMEMBERED_LINES = 200;
const MAX_TEXT_LENGTH = 2000;

type Emit = (level: LogLevel, fields: LogFields, message: string) => void;

export function createLog(options: LogOptions): Log {
  const { level } = options;
  if (level === 'silent') return logOf(() => undefined);
  const writeLine = options.write ?? createStderrWriter(options.stderr);
  // JSON does not escape the control characters C1.
  const write = (line: string): void => writeLine(escapeControls(line));
  const emit =
    options.thread === 'watcher' ? createPinoEmit(options, write) : createPlainEmit(options, write);
  const countRepeats = createRepeatCounter(options.clock);
  return logOf((lineLevel, fields, message) => {
    if (LEVELS[lineLevel] < LEVELS[level]) return;
    try {
      const plain = plainFields(fields);
      const repeated = countRepeats(lineLevel, plain, message);
      if (repeated === null) return;
      emit(lineLevel, repeated > 0 ? { ...plain, repeated } : plain, message);
    } catch {
      // A line that cannot be serialized or written is dropped.
    }
  });
}

const logOf = (emit: Emit): Log => ({
  debug: (fields, message) => emit('debug', fields, message),
  info: (fields, message) => emit('info', fields, message),
  warn: (fields, message) => emit('warn', fields, message),
  error: (fields, message) => emit('error', fields, message),
});

function createPinoEmit({ level, clock }: LogOptions, write: (line: string) => void): Emit {
  const { pino } = require('pino') as typeof import('pino');
  const logger = pino({ name: 'wsguard', level, timestamp: () => `,"time":${clock.wallMs()}` }, { write });
  return (lineLevel, fields, message) => logger[lineLevel](fields, message);
}

function createPlainEmit({ clock }: LogOptions, write: (line: string) => void): Emit {
  const base = { pid: process.pid, hostname: hostname(), name: 'wsguard' };
  return (lineLevel, fields, message) =>
    write(
      `${JSON.stringify({ level: LEVELS[lineLevel], time: clock.wallMs(), ...base, ...fields, msg: message })}\n`,
    );
}

/** The returned function gives the number of repeats since the line was last written; null when it is a repeat itself. */
function createRepeatCounter(
  clock: Clock,
): (level: LogLevel, fields: LogFields, message: string) => number | null {
  const seen = new Map<string, { writtenAtMs: number; repeats: number }>();
  return (level, fields, message) => {
    // Numbers differ between repeats of the same event; texts do not.
    const texts = Object.entries(fields).filter(([, value]) => typeof value !== 'number');
    const key = `${level} ${message} ${JSON.stringify(texts)}`;
    const before = seen.get(key);
    if (before !== undefined && clock.nowMs() - before.writtenAtMs < REPEAT_WINDOW_MS) {
      before.repeats += 1;
      return null;
    }
    seen.delete(key);
    seen.set(key, { writtenAtMs: clock.nowMs(), repeats: 0 });
    const oldest = seen.size > MAX_REMEMBERED_LINES ? seen.keys().next().value : undefined;
    if (oldest !== undefined) seen.delete(oldest);
    return before?.repeats ?? 0;
  };
}

function plainFields(fields: LogFields): LogFields {
  const plain: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) plain[name] = plainValue(value);
  return plain;
}

function plainValue(value: unknown): unknown {
  if (value instanceof Error) {
    const { name, message, code } = value as NodeJS.ErrnoException;
    return {
      type: name,
      message: message.slice(0, MAX_TEXT_LENGTH),
      ...(code === undefined ? {} : { code }),
    };
  }
  if (typeof value === 'bigint') return value.toString();
  return typeof value === 'string' && value.length > MAX_TEXT_LENGTH
    ? `${value.slice(0, MAX_TEXT_LENGTH)}…`
    : value;
}
