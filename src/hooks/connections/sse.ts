import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

interface HttpSocket extends Socket {
  readonly parser?: unknown;
  /** The response that is being written, null between two. */
  readonly _httpMessage?: (ServerResponse & { readonly _header?: string | null }) | null;
}

const EVENT_STREAM = /^content-type:[ \t]*text\/event-stream/im;

/** The unfinished event stream on this socket. The raw header counts: after `writeHead(200, {...})` getHeader has nothing. */
export function eventStreamOf(socket: Socket): ServerResponse | null {
  const response = (socket as HttpSocket)._httpMessage;
  if (!response || response.writableEnded) return null;
  const header = response._header;
  return typeof header === 'string' && EVENT_STREAM.test(header) ? response : null;
}

/** Node's HTTP parser sits on a socket until an upgrade takes it off. */
export const isParsed = (socket: Socket): boolean => Boolean((socket as HttpSocket).parser);

/** Without a parser too: a router that sends upgrades along its routes gives them a response (@fastify/websocket). */
export const isAnswered = (socket: Socket): boolean => Boolean((socket as HttpSocket)._httpMessage);
