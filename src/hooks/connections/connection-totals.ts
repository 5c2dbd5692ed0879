/** Sums over all connections. Each change updates them, so they are right between two slices of a sweep too. */
import { TRANSPORTS, type ByTransport, type Transport } from '../../types/sample.ts';
import { PROBE_GROUPS, type Connection, type Liveness, type ProbeGroup } from './connection.ts';

type Counts = Record<Transport, number>;
const zeroCounts = (): Counts => ({ websocket: 0, sse: 0, polling: 0, upgraded: 0 });

export interface ConnectionSums {
  readonly active: ByTransport;
  readonly opened: ByTransport;
  readonly closed: ByTransport;
  readonly unresponsive: number;
  /** Those of `unresponsive` that have been silent before for about as long, and came back. */
  readonly asleep: number;
  /** How often a peer came back that was unresponsive and not asleep: nearly once for each peer that sleeps. */
  readonly awoken: number;
  /** Connections whose silence was longer than any timeout for them, and not as before, until the peer shows that it lives. */
  readonly lost: number;
  /** Lost connections that came back or closed. */
  readonly lostEnded: number;
  /** Bytes from the peers. */
  readonly receivedBytes: number;
  /** Connections that cannot be probed. */
  readonly unknown: number;
  readonly sendBufferBytes: number;
  readonly slow: number;
  readonly byProbeGroup: Readonly<Record<ProbeGroup, number>>;
}

export class ConnectionTotals {
  readonly #opened = zeroCounts();
  readonly #closed = zeroCounts();
  readonly #byLiveness: Record<Liveness, number> = { responsive: 0, unresponsive: 0, unknown: 0 };
  readonly #byProbeGroup = Object.fromEntries(PROBE_GROUPS.map((group) => [group, 0])) as Record<
    ProbeGroup,
    number
  >;
  readonly #slow = new Set<Connection>();
  readonly #asleep = new Set<Connection>();
  #awoken = 0;
  readonly #lost = new Set<Connection>();
  #lostEnded = 0;
  #receivedBytes = 0;
  #sendBufferBytes = 0;

  addOpened({ transport, liveness, probeGroup }: Connection): void {
    this.#opened[transport] += 1;
    this.#byLiveness[liveness] += 1;
    this.#byProbeGroup[probeGroup] += 1;
  }

  addClosed(connection: Connection): void {
    this.#closed[connection.transport] += 1;
    this.#byLiveness[connection.liveness] -= 1;
    this.#byProbeGroup[connection.probeGroup] -= 1;
    this.#sendBufferBytes -= connection.sendBufferBytes;
    this.#slow.delete(connection);
    this.#asleep.delete(connection);
    this.setLost(connection, false, true);
  }

  /** `hasEnded`: the peer has shown that it lives, or the connection has closed. Until then it stays lost. */
  setLost(connection: Connection, isLost: boolean, hasEnded: boolean): void {
    if (isLost) this.#lost.add(connection);
    else if (hasEnded && this.#lost.size > 0 && this.#lost.delete(connection)) this.#lostEnded += 1;
  }

  /** The counter of a socket that was sent to another process is 0 again. */
  addReceived(bytes: number): void {
    if (bytes > 0) this.#receivedBytes += bytes;
  }

  addSendBuffer(deltaBytes: number): void {
    this.#sendBufferBytes += deltaBytes;
  }

  setLiveness(connection: Connection, liveness: Liveness): void {
    if (liveness === connection.liveness) return;
    this.#byLiveness[connection.liveness] -= 1;
    this.#byLiveness[liveness] += 1;
    connection.liveness = liveness;
  }

  setProbeGroup(connection: Connection, group: ProbeGroup): void {
    if (group === connection.probeGroup) return;
    this.#byProbeGroup[connection.probeGroup] -= 1;
    this.#byProbeGroup[group] += 1;
    connection.probeGroup = group;
  }

  setSlow(connection: Connection, isSlow: boolean): void {
    if (isSlow) this.#slow.add(connection);
    else if (this.#slow.size > 0) this.#slow.delete(connection);
  }

  /** `isBack`: the peer has shown since the last call that it lives. */
  setAsleep(connection: Connection, isAsleep: boolean, isBack: boolean): void {
    if (isBack && !this.#asleep.has(connection)) this.#awoken += 1;
    if (isAsleep) this.#asleep.add(connection);
    else if (this.#asleep.size > 0) this.#asleep.delete(connection);
  }

  isSlow(connection: Connection): boolean {
    return this.#slow.has(connection);
  }

  inProbeGroup(group: ProbeGroup): number {
    return this.#byProbeGroup[group];
  }

  /** WebSockets and upgrades without a recent probe: those of which a sample is pinged under suspicion. */
  unprobed(): number {
    const { probed, unresponsive, 'half-heartbeat': halfHeartbeat } = this.#byProbeGroup;
    return this.active('websocket') + this.active('upgraded') - probed - unresponsive - halfHeartbeat;
  }

  active(transport: Transport): number {
    return this.#opened[transport] - this.#closed[transport];
  }

  read(): ConnectionSums {
    const active = zeroCounts();
    for (const transport of TRANSPORTS) active[transport] = this.active(transport);
    return {
      active,
      opened: { ...this.#opened },
      closed: { ...this.#closed },
      unresponsive: this.#byLiveness.unresponsive,
      asleep: this.#asleep.size,
      awoken: this.#awoken,
      lost: this.#lost.size,
      lostEnded: this.#lostEnded,
      receivedBytes: this.#receivedBytes,
      unknown: this.#byLiveness.unknown,
      sendBufferBytes: this.#sendBufferBytes,
      slow: this.#slow.size,
      byProbeGroup: { ...this.#byProbeGroup },
    };
  }
}
