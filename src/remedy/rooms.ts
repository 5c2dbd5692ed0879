/** `Rooms`: the members of each room. A room without members does not exist. */
import type { Dispose } from '../types/index.ts';
import { registerWithAgent, uniqueName } from './agent-registration.ts';
import { hasEnded, type WebSocketLike } from './types.ts';

/** A `Connection` of `ConnectionRegistry`, or any object with a set of room names. */
export interface RoomMember {
  readonly rooms: Set<string>;
}

const NO_MEMBERS: ReadonlySet<never> = new Set<never>();

export class Rooms<M extends RoomMember = RoomMember> {
  readonly #rooms = new Map<string, Set<M>>();
  readonly #unregister: Dispose;

  constructor() {
    const name = uniqueName('Rooms');
    const rooms = this.#rooms;
    this.#unregister = registerWithAgent((agent) => agent.watchRooms(name, rooms));
  }

  /** Number of rooms. */
  get size(): number {
    return this.#rooms.size;
  }

  /** Does nothing for a connection whose WebSocket has closed: its cleanup has run, and nobody would remove it again. */
  join(room: string, connection: M): void {
    const { ws } = connection as { readonly ws?: WebSocketLike | null };
    if (ws !== undefined && ws !== null && hasEnded(ws)) return;
    const members = this.#rooms.get(room);
    if (members === undefined) this.#rooms.set(room, new Set([connection]));
    else members.add(connection);
    connection.rooms.add(room);
  }

  leave(room: string, connection: M): void {
    const members = this.#rooms.get(room);
    members?.delete(connection);
    if (members?.size === 0) this.#rooms.delete(room);
    connection.rooms.delete(room);
  }

  /** Call it when the connection ends. */
  leaveAll(connection: M): void {
    for (const room of [...connection.rooms]) this.leave(room, connection);
  }

  members(room: string): ReadonlySet<M> {
    return this.#rooms.get(room) ?? NO_MEMBERS;
  }

  /** Forgets all rooms and ends the registration with the agent. */
  close(): void {
    for (const room of this.#rooms.values()) for (const connection of room) connection.rooms.clear();
    this.#rooms.clear();
    this.#unregister();
  }
}
