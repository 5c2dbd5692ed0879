/** Replaces every name of a reading with one that may leave the process. Rows whose names become equal are summed. */
import { publicName } from '../core/safe-text.ts';
import type { EmitterReading, QueueReading, RegistryReading, RoomsReading } from '../types/index.ts';

interface NamedReadings {
  readonly registries: readonly RegistryReading[];
  readonly queues: readonly QueueReading[];
  readonly rooms: readonly RoomsReading[];
  readonly emitters: readonly EmitterReading[];
}

export function withPublicNames<R extends NamedReadings>(reading: R): R {
  const { registries, queues, rooms, emitters } = reading;
  return {
    ...reading,
    registries: mergeRows(named(registries), (a, b) => ({ ...a, entries: a.entries + b.entries })),
    queues: mergeRows(named(queues), (a, b) => ({
      ...a,
      items: a.items + b.items,
      oldestAgeMs: largest(a.oldestAgeMs, b.oldestAgeMs),
    })),
    rooms: mergeRows(named(rooms), (a, b) => ({
      ...a,
      rooms: a.rooms + b.rooms,
      members: a.members + b.members,
    })),
    emitters: mergeRows(
      emitters.map((row) => ({ ...row, emitter: publicName(row.emitter), event: publicName(row.event) })),
      // Without `changes`, which are those of one of the counts.
      (a, b) => ({
        emitter: a.emitter,
        event: a.event,
        source: a.source,
        listeners: a.listeners + b.listeners,
        eventNames: a.eventNames === null ? b.eventNames : a.eventNames + (b.eventNames ?? 0),
      }),
      ({ emitter, event }) => `${emitter}\n${event}`,
    ),
  };
}

const named = <T extends { readonly name: string }>(rows: readonly T[]): T[] =>
  rows.map((row) => ({ ...row, name: publicName(row.name) }));

const largest = (a: number | null, b: number | null): number | null =>
  a === null || b === null ? (a ?? b) : Math.max(a, b);

function mergeRows<T>(
  rows: readonly T[],
  add: (a: T, b: T) => T,
  keyOf: (row: T) => string = (row) => (row as { readonly name: string }).name,
): T[] {
  const byKey = new Map<string, T>();
  for (const row of rows) {
    const key = keyOf(row);
    const before = byKey.get(key);
    byKey.set(key, before === undefined ? row : add(before, row));
  }
  return [...byKey.values()];
}
