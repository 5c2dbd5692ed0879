/** The shape of a ws WebSocket, and the labels of close codes. */
import type { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { isProxy } from 'node:util/types';
import { baseReader } from '../base-property.ts';
import { hasMethod } from '../find-property.ts';

/** The members that ws 6, 7 and 8 share and the hooks use. */
export interface WebSocketLike extends EventEmitter {
  readonly readyState: number;
  readonly bufferedAmount: number;
  /** The field behind `readyState` from ws 7.3 on. */
  readonly _readyState?: number;
  readonly _socket?: Socket | null;
  readonly _isServer?: boolean;
  /** True as soon as the peer's close frame was read. */
  readonly _closeFrameReceived?: boolean;
  ping(data?: unknown, mask?: boolean, callback?: (error?: Error) => void): void;
  send(...args: unknown[]): void;
  close(code?: number, reason?: unknown): void;
}

const OPEN = 1;
const readReadyState = baseReader('readyState');
/** Every `send` of the application comes here, and the field is the fastest to read. */
export const isOpen = (ws: WebSocketLike): boolean => (ws._readyState ?? readReadyState(ws)) === OPEN;

export function isWebSocket(value: unknown): value is WebSocketLike {
  if (typeof value !== 'object' || value === null || isProxy(value)) return false;
  return typeof readReadyState(value) === 'number' && hasMethod(value, 'ping') && hasMethod(value, 'send');
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
