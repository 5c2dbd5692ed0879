'use strict';
// The server of the overhead bench: echo and broadcast over ws. It measures itself between the messages of its parent.
const { createServer } = require('node:http');
const { WebSocket, WebSocketServer } = require('ws');

const bareSend = WebSocket.prototype.send;
const isEcho = process.argv[2] === 'echo';
const http = createServer();
const wss = new WebSocketServer({ server: http, perMessageDeflate: false });
wss.on('connection', (ws) => {
  ws.on('message', (data) => {
    if (isEcho) ws.send(data);
    else for (const client of wss.clients) client.send(data);
  });
});
http.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => reply({ port: http.address().port }));

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const reply = (value) => process.send(value);
let cpu = process.cpuUsage();

/** Garbage collections run until weak references and finalizers no longer change the heap. */
async function memory() {
  for (let round = 0; round < 3; round += 1) {
    await pause(30);
    globalThis.gc();
  }
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
  return { rssBytes: rss, heapBytes: heapUsed + arrayBuffers };
}

const commands = {
  async memory() {
    reply({ ...(await memory()), connections: wss.clients.size });
  },
  start({ withoutSendWrap }) {
    if (withoutSendWrap) {
      if (WebSocket.prototype.send === bareSend)
        throw new Error('send is not wrapped, so there is nothing to undo');
      WebSocket.prototype.send = bareSend;
    }
    cpu = process.cpuUsage();
    reply({});
  },
  stop() {
    const { user, system } = process.cpuUsage(cpu);
    const isWrapped = WebSocket.prototype.send !== bareSend;
    reply({ cpuUs: user + system, isWrapped });
  },
};
process.on('message', (message) => commands[message.command](message));
process.on('disconnect', () => process.exit());
