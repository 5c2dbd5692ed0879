/** Makes the remedies known to the agent of the process. */
import { remedyList, type Attach } from '../core/remedy-list.ts';
import type { Dispose } from '../types/index.ts';

/** Parts that an application makes for each connection without a Dispose must not fill the memory. */
const MAX_PARTS = 1_000;

/** Calls `attach` with the agent of the process, at once or when it starts. */
export function registerWithAgent(attach: Attach): Dispose {
  const { parts, agent } = remedyList();
  if (parts.size >= MAX_PARTS) return () => undefined;
  parts.set(attach, agent === null ? null : attach(agent));
  return () => {
    parts.get(attach)?.();
    parts.delete(attach);
  };
}

export function countAction(remedy: string, action: string, count = 1): void {
  const { actions } = remedyList();
  const name = `${remedy} ${action}`;
  actions.set(name, (actions.get(name) ?? 0) + count);
}

const shared = new Set<string>();

/** For a part that exists once for each connection: the agent counts all of them together under one name. */
export function registerOnce(name: string, attach: Attach): void {
  if (shared.has(name)) return;
  shared.add(name);
  registerWithAgent(attach);
}

const names = new Map<string, number>();

/** `Rooms`, `Rooms 2`, ...: two parts of one name would replace each other in the agent. */
export function uniqueName(name: string): string {
  const count = (names.get(name) ?? 0) + 1;
  names.set(name, count);
  return count === 1 ? name : `${name} ${count}`;
}
