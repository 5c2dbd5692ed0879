/**
 * Reports sockets that are destroyed, by one wrap of `net.Socket.prototype._destroy`. A `close` listener on each socket
 * would cost 64 bytes a connection, because the listener of the library then makes it an array.
 */
import type { Socket } from 'node:net';
import { apply } from '../../core/primordials.ts';

type Destroy = (this: Socket, ...args: unknown[]) => unknown;
interface SocketPrototype {
  _destroy: Destroy;
}

export class DestroyHook {
  readonly #onDestroy: (socket: Socket) => void;
  #wrapped: Destroy | null = null;
  #undo = (): void => {};

  /** `onDestroy` is called before the socket is destroyed, and must not throw. It gets outgoing sockets too. */
  constructor(onDestroy: (socket: Socket) => void) {
    this.#onDestroy = onDestroy;
  }

  /**
   * False for an object that is no `net.Socket`, or that has its own `_destroy`. The first socket gives the prototype:
   * loading `net` in the preload would cost every process that inherits NODE_OPTIONS.
   */
  covers(socket: Socket): boolean {
    if (this.#wrapped === null) this.#wrap(socket);
    return this.#wrapped !== null && (socket as unknown as SocketPrototype)._destroy === this.#wrapped;
  }

  stop(): void {
    this.#undo();
  }

  #wrap(socket: Socket): void {
    const proto = socketPrototypeOf(socket);
    if (proto === null) return;
    const original = proto._destroy;
    const onDestroy = this.#onDestroy;
    const wrapped: Destroy = function _destroy(this) {
      onDestroy(this);
      // oxlint-disable-next-line prefer-rest-params -- a stream gets an error and a callback, a subclass may pass more
      return apply(original, this, arguments);
    };
    Object.defineProperty(wrapped, 'name', { value: original.name });
    Object.defineProperty(wrapped, 'length', { value: original.length });
    proto._destroy = wrapped;
    this.#wrapped = wrapped;
    this.#undo = () => {
      if (proto._destroy === wrapped) proto._destroy = original;
    };
  }
}

/** The prototype that has both methods itself is the one of `net.Socket`: subclasses add neither. */
function socketPrototypeOf(socket: Socket): SocketPrototype | null {
  let proto: object | null = socket;
  while (proto !== null && !Object.hasOwn(proto, '_destroy'))
    proto = Object.getPrototypeOf(proto) as object | null;
  return proto !== null && Object.hasOwn(proto, 'setNoDelay') ? (proto as SocketPrototype) : null;
}
