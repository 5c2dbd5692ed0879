// A Socket.IO server with an official Redis adapter and with `fanout`, on one Redis client. The parent sends the commands.
// node adapter-server.cjs <adapter> <library>, with REDIS_URL
'use strict';
const { createServer } = require('node:http');
const { createAdapter: createPubSubAdapter } = require('@socket.io/redis-adapter');
const { createAdapter: createStreamsAdapter } = require('@socket.io/redis-streams-adapter');
const { Redis } = require('ioredis');
const { createClient } = require('redis');
const { Server } = require('socket.io');
const { fanout } = require('@wsguard/agent/remedy');

const [adapterName, library] = process.argv.slice(2);
const clients = [];

async function connectRedis() {
  const client =
    library === 'ioredis' ? new Redis(process.env.REDIS_URL) : createClient({ url: process.env.REDIS_URL });
  client.on('error', () => undefined);
  if (library === 'redis') await client.connect();
  clients.push(client);
  return client;
}

async function main() {
  const publisher = await connectRedis();
  const adapter =
    adapterName === 'redis-adapter'
      ? createPubSubAdapter(publisher, await connectRedis())
      : createStreamsAdapter(publisher, { blockTimeInMs: 200 });
  const http = createServer();
  const io = new Server(http, { adapter });
  const positions = fanout(publisher, { deliver: (socket, message) => socket.emit('position', message) });
  io.on('connection', (socket) => {
    void socket.join('room');
    positions.subscribe('fleet', socket);
  });
  const commands = {
    broadcast: (text) => void io.to('room').emit('broadcast', text),
    publish: (text) => positions.publish('fleet', text),
    report() {
      const { keys, connections, errors, delivered } = positions.stats();
      process.send({
        report: { keys, connections, errors, delivered, rooms: io.of('/').adapter.rooms.size },
      });
    },
    async close() {
      positions.close();
      await io.close();
      // Both wait for the commands that the adapter sent while it closed.
      await Promise.all(clients.map((client) => (library === 'ioredis' ? client.quit() : client.close())));
      process.disconnect();
    },
  };
  process.on('message', ({ command, text }) => void commands[command](text));
  http.listen(0, '127.0.0.1', () => process.send({ port: http.address().port }));
}

void main();
