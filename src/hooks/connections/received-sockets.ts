/** The sockets that a parent process hands over by messages, as in the workers of a sticky cluster. */
import type { Socket } from 'node:net';
import { processEvents } from '../../core/process-events.ts';
import type { Dispose } from '../../types/index.ts';

export const isSocket = (value: unknown): value is Socket =>
  typeof value === 'object' && value !== null && 'setNoDelay' in value && 'remoteAddress' in value;

/**
 * The application's listeners of `message` run first: they give the socket to a server. `receive` gets what comes with a
 * message, and must not throw.
 */
export const watchReceivedSockets = (receive: (handle: unknown) => void): Dispose =>
  processEvents.observe(
    'message',
    (_message, handle) => (handle === undefined ? undefined : receive(handle)),
    'after',
  );
