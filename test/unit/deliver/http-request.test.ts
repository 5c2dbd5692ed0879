import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { sendRequest } from '../../../src/deliver/http-request.ts';

/** Its timers never fire: only the size of the reply can end the exchange. */
const clock = { nowMs: () => 0, wallMs: () => 0, every: () => () => undefined, after: () => () => undefined };

/** Sends until the client closes the connection. */
function sendWithoutEnd(response: ServerResponse): void {
  response.writeHead(200);
  const chunk = Buffer.alloc(64 * 1024, 'x');
  const fill = (): void => {
    while (!response.destroyed && response.write(chunk));
  };
  response.on('drain', fill);
  fill();
}

test.each([
  ['a body that nobody reads', {}, ''],
  ['a body of which the first bytes are read', { maxReplyBytes: 4 }, 'xxxx'],
])('%s and that never ends: the connection is closed', async (_, more, text) => {
  const server = createServer();
  const closed = new Promise<void>((resolve) => {
    server.on('request', (_request, response: ServerResponse) => {
      response.on('close', resolve);
      sendWithoutEnd(response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const request = { method: 'POST', url, headers: {}, body: Buffer.alloc(0), timeoutMs: 1, ...more } as const;
  const reply = await sendRequest(request, clock);
  await closed;
  server.close();
  expect(reply).toMatchObject({ outcome: 'reply', status: 200, text });
});
