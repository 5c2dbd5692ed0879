/**
 * One JSON line per state change on stderr. In the watcher pino writes it; on the application's thread, where no
 * package is loaded, a few lines of our own write the same shape. Both are synchronous: what was said before a
 * crash is on the screen.
 */
import { writeSync } from 'node:fs';
import { hostname } from 'node:os';
import type { Clock, Log, LogFields, LogLevel } from '../types/index.ts';

export interface LogOptions {
  readonly level: LogLevel | 'silent';
  readonly clock: Clock;
  /** `watcher` may load pino. */
  readonly thread: 'app' | 'watcher';
  /** Takes one line; stderr when absent. */
  readonly write?: (line: string) => void;
}

const LEVELS: Readonly<Record<LogLevel, number>> = { debug: 20, info: 30, warn: 40, error: 50 };
const STDERR = 2;
/** The same line within this time is counted, and the count said with the next one. */
const REPEAT_WINDOW_MS = 10 * 60_000;
const MAX_REMEMBERED = 200;
const MAX_TEXT = 2000;

type Emit = (level: LogLevel, fields: LogFields, message: string) => void;

export function createLog(options: LogOptions): Log {
  const { level } = options;
  if (level === 'silent') return logOf(() => undefined);
  const write = options.write ?? writeLine();
  const emit = options.thread === 'watcher' ? pinoEmit(options, write) : tinyEmit(options, write);
  const isRepeat = createRepeats(options.clock);
  return logOf((lineLevel, fields, message) => {
    if (LEVELS[lineLevel] < LEVELS[level]) return;
    try {
      const plain = plainFields(fields);
      const repeated = isRepeat(lineLevel, plain, message);
      if (repeated === null) return;
      emit(lineLevel, repeated > 0 ? { ...plain, repeated } : plain, message);
    } catch {
      // A log that cannot be written is no reason to disturb the application.
    }
  });
}

const logOf = (emit: Emit): Log => ({
  debug: (fields, message) => emit('debug', fields, message),
  info: (fields, message) => emit('info', fields, message),
  warn: (fields, message) => emit('warn', fields, message),
  error: (fields, message) => emit('error', fields, message),
});

function pinoEmit({ level, clock }: LogOptions, write: (line: string) => void): Emit {
  const { pino } = require('pino') as typeof import('pino');
  const logger = pino({ name: 'wsguard', level, timestamp: () => `,"time":${clock.wallMs()}` }, { write });
  return (lineLevel, fields, message) => logger[lineLevel](fields, message);
}

function tinyEmit({ clock }: LogOptions, write: (line: string) => void): Emit {
  const base = { pid: process.pid, hostname: hostname(), name: 'wsguard' };
  return (lineLevel, fields, message) =>
    write(
      `${JSON.stringify({ level: LEVELS[lineLevel], time: clock.wallMs(), ...base, ...fields, msg: message })}\n`,
    );
}

/** Gives how often the line was left out since it was last printed, or null when it is left out now. */
function createRepeats(clock: Clock): (level: LogLevel, fields: LogFields, message: string) => number | null {
  const seen = new Map<string, { printedAtMs: number; left: number }>();
  return (level, fields, message) => {
    // Numbers vary from one repeat to the next; texts tell one event from another.
    const texts = Object.entries(fields).filter(([, value]) => typeof value !== 'number');
    const key = `${level} ${message} ${JSON.stringify(texts)}`;
    const before = seen.get(key);
    if (before !== undefined && clock.nowMs() - before.printedAtMs < REPEAT_WINDOW_MS) {
      before.left += 1;
      return null;
    }
    seen.delete(key);
    seen.set(key, { printedAtMs: clock.nowMs(), left: 0 });
    const oldest = seen.size > MAX_REMEMBERED ? seen.keys().next().value : undefined;
    if (oldest !== undefined) seen.delete(oldest);
    return before?.left ?? 0;
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
    return { type: name, message: message.slice(0, MAX_TEXT), ...(code === undefined ? {} : { code }) };
  }
  if (typeof value === 'bigint') return value.toString();
  return typeof value === 'string' && value.length > MAX_TEXT ? `${value.slice(0, MAX_TEXT)}…` : value;
}

/** stderr may be a full pipe that answers EAGAIN: the line is left out and counted, never waited for. */
function writeLine(): (line: string) => void {
  let dropped = 0;
  return (line) => {
    const note =
      dropped === 0
        ? ''
        : `{"level":40,"name":"wsguard","dropped":${dropped},"msg":"lines lost, stderr full"}\n`;
    try {
      writeSync(STDERR, note + line);
      dropped = 0;
    } catch {
      dropped += 1;
    }
  };
}
