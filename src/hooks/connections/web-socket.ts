/** The shape of a ws WebSocket, and the labels of close codes. */
import type { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';

/** The members that ws 6, 7 and 8 share and the hooks use. */
export interface WebSocketLike extends EventEmitter {
  readonly readyState: number;
  readonly bufferedAmount: number;
  readonly _socket?: Socket | null;
  readonly _isServer?: boolean;
  ping(data?: unknown, mask?: boolean, callback?: (error?: Error) => void): void;
  send(...args: unknown[]): void;
}

export const OPEN = 1;
export const isOpen = (ws: WebSocketLike): boolean => ws.readyState === OPEN;

export function isWebSocket(value: unknown): value is WebSocketLike {
  if (typeof value !== 'object' || value === null) return false;
  const { readyState, ping, send } = value as Record<string, unknown>;
  return typeof readyState === 'number' && typeof ping === 'function' && typeof send === 'function';
}

/** Close codes of RFC 6455 and the IANA registry. */
const REGISTERED_CODES = new Set([
  1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 1015,
]);

/** Clients choose the codes from 3000, so each thousand has one label: the number of labels stays bounded. */
export function closeCodeLabel(code: number): string {
  if (code >= 4_000 && code <= 4_999) return '4xxx';
  if (code >= 3_000 && code <= 3_999) return '3xxx';
  return REGISTERED_CODES.has(code) ? String(code) : 'other';
}
