/** Counts how long connections were open, by transport and by how they ended. */
import { DurationHistogram } from '../../core/duration-histogram.ts';
import { CLOSE_STATUSES, TRANSPORTS, type CloseStatus, type Transport } from '../../types/sample.ts';
import type { ConnectionDurations as DurationsReading } from '../../types/index.ts';
import { closeStatus, type SocketEnd } from './close-status.ts';
import type { Connection } from './connection.ts';

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** From a failed handshake to a connection that is open for days. */
const BOUNDS_SECONDS: readonly number[] = [
  1,
  10,
  MINUTE,
  5 * MINUTE,
  15 * MINUTE,
  HOUR,
  4 * HOUR,
  12 * HOUR,
  DAY,
  7 * DAY,
];

interface ClosedWebSocket {
  readonly seconds: number;
  readonly end: SocketEnd;
}

export class ConnectionDurations {
  readonly #histograms = new Map<Transport, Map<CloseStatus, DurationHistogram>>();
  /** WebSockets whose socket is destroyed and whose `close` event, which has the code, is still to come. */
  readonly #closing = new WeakMap<object, ClosedWebSocket>();

  add(transport: Transport, status: CloseStatus, seconds: number): void {
    let byStatus = this.#histograms.get(transport);
    if (byStatus === undefined) this.#histograms.set(transport, (byStatus = new Map()));
    let histogram = byStatus.get(status);
    if (histogram === undefined) byStatus.set(status, (histogram = new DurationHistogram(BOUNDS_SECONDS)));
    histogram.add(seconds);
  }

  /** A WebSocket is counted with its `close` event, like its close code. */
  addClosed({ transport, appObject, openedAtMs }: Connection, end: SocketEnd, nowMs: number): void {
    const seconds = (nowMs - openedAtMs) / 1_000;
    if (transport === 'websocket') this.#closing.set(appObject, { seconds, end });
    else this.add(transport, closeStatus(end, null), seconds);
  }

  noteCode(ws: object, code: number): void {
    const closed = this.#closing.get(ws);
    if (closed === undefined) return;
    this.#closing.delete(ws);
    this.add('websocket', closeStatus(closed.end, code), closed.seconds);
  }

  /** Empty before the first close. */
  read(): DurationsReading[] {
    return TRANSPORTS.flatMap((transport) =>
      CLOSE_STATUSES.flatMap((status) => {
        const durations = this.#histograms.get(transport)?.get(status)?.read() ?? null;
        return durations === null ? [] : [{ transport, status, durations }];
      }),
    );
  }
}
