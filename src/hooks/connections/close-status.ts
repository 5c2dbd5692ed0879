/** Decides how a connection ended, from its socket, its last pings and its close code. */
import type { Server, Socket } from 'node:net';
import type { CloseStatus } from '../../types/index.ts';
import { baseReader } from '../base-property.ts';
import { readField } from '../discovery/field-reader.ts';
import { NEVER, readSocket, type Connection } from './connection.ts';
import { isListening, serverOf } from './server-kind.ts';

/**
 * The end as the socket shows it when it is destroyed, before the close code of a WebSocket is final. `ended`: one side ended the
 * stream in order. `lost`: an error, or a destroy without a reason that the agent knows.
 */
export type SocketEnd = 'shutdown' | 'timeout' | 'ended' | 'lost';

/** A closing handshake that the server started. */
export interface ServerClose {
  readonly atMs: number;
  readonly isShutdown: boolean;
}

const GOING_AWAY = 1001;
const SERVICE_RESTART = 1012;

/** The codes with which a server that stops closes its connections (RFC 6455 and the IANA registry). */
export const isShutdownCode = (code: unknown): boolean => code === GOING_AWAY || code === SERVICE_RESTART;

/** A peer had no time to reply to a ping or a close frame that was sent later than this before the end. */
const MIN_UNANSWERED_MS = 1_000;

/** `serverClose`: the closing handshake that the server started, if it did. */
export function socketEndOf(
  connection: Connection,
  serverClose: ServerClose | null,
  nowMs: number,
): SocketEnd {
  const { socket } = connection;
  if (serverClose?.isShutdown === true || hasServerStopped(socket)) return 'shutdown';
  // The response of an event stream ends before its socket does.
  if (connection.transport === 'sse' && hasWritableEnded(connection.appObject) === true) return 'ended';
  const error = readErrored(socket);
  if (error !== null && error !== undefined) return isTimeoutError(error) ? 'timeout' : 'lost';
  if (hasReadableEnded(socket) === true) return 'ended';
  // From here on this process has ended the connection, not the peer.
  const unansweredMs = nowMs - unansweredSinceMs(connection, serverClose);
  if (unansweredMs >= MIN_UNANSWERED_MS || isUnresponsive(connection)) return 'timeout';
  return connection.transport === 'upgraded' && hasWritableEnded(socket) === true ? 'ended' : 'lost';
}

/** `code`: the close code of a WebSocket; null for other transports. */
export function closeStatus(end: SocketEnd, code: number | null): CloseStatus {
  if (end === 'shutdown' || code === SERVICE_RESTART) return 'app_shutdown';
  if (code === null && end === 'ended') return 'normal_closure';
  if (code !== null && isNormalCode(code)) return 'normal_closure';
  return end === 'timeout' && (code === null || code === NO_CLOSE_FRAME) ? 'timeout' : 'abnormal';
}

const NORMAL = 1000;
/** The closing handshake was complete, without a code: `close()` of browsers, and of engine.io. */
const NO_CODE = 1005;
/** The connection ended without a close frame of the peer. */
const NO_CLOSE_FRAME = 1006;

/** Codes from 3000 on are messages of the application: the closing handshake was complete. */
const isNormalCode = (code: number): boolean =>
  code === NORMAL || code === GOING_AWAY || code === NO_CODE || (code >= 3_000 && code <= 4_999);

/** Infinity where the peer owes no reply. */
function unansweredSinceMs({ roundTripStartMs }: Connection, serverClose: ServerClose | null): number {
  const pingAtMs = roundTripStartMs === NEVER ? Infinity : roundTripStartMs;
  return Math.min(pingAtMs, serverClose?.atMs ?? Infinity);
}

/** The last sweep found the peer unresponsive, and it has sent nothing since. */
const isUnresponsive = (connection: Connection): boolean =>
  connection.liveness === 'unresponsive' && readSocket(connection).bytesRead === connection.bytesRead;

/**
 * True after `server.close()`. A worker that is sent its sockets has a server that never listened: only `listen` sets
 * `_connectionKey`.
 */
function hasServerStopped(socket: Socket): boolean {
  const server = readField(socket, 'server') ?? serverOf(socket);
  if (typeof server !== 'object' || server === null) return false;
  return !isListening(server as Server) && typeof readField(server, '_connectionKey') === 'string';
}

const isTimeoutError = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && readField(error, 'code') === 'ETIMEDOUT';

const readErrored = baseReader('errored');
const hasReadableEnded = baseReader('readableEnded');
const hasWritableEnded = baseReader('writableEnded');
