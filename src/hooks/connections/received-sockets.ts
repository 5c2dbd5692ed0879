/** The sockets that a parent process hands over by messages, as in the workers of a sticky cluster. */
import type { Socket } from 'node:net';
import type { Dispose } from '../../types/index.ts';

export const isSocket = (value: unknown): value is Socket =>
  typeof value === 'object' && value !== null && 'setNoDelay' in value && 'remoteAddress' in value;

/**
 * Wraps `process.emit`. A listener of `message` would keep the process alive, and no other event has the socket. The
 * application's listeners run first: they give the socket to a server. `receive` gets what comes with a message, and must not
 * throw.
 */
export function watchReceivedSockets(receive: (handle: unknown) => void): Dispose {
  const target = process as unknown as { emit: (this: unknown, ...args: unknown[]) => boolean };
  const original = target.emit;
  const emit = function emit(this: unknown, ...args: unknown[]): boolean {
    try {
      return original.apply(this, args);
    } finally {
      if (args[0] === 'message' && args[2] !== undefined) receive(args[2]);
    }
  };
  target.emit = emit;
  return () => {
    if (target.emit === emit) target.emit = original;
  };
}
