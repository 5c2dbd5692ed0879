'use strict';
// The clients of the overhead bench: raw sockets, so that their own cost does not delay the replies. They send a fixed
// number of messages and measure each round trip.
const net = require('node:net');

const PAYLOAD_BYTES = 64;
/** The server does not mask: two bytes of header, then the payload. */
const FRAME_BYTES = 2 + PAYLOAD_BYTES;
const HANDSHAKE =
  'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';
/** Messages under way at the same time in the echo workload, and handshakes while the connections open. */
const MAX_IN_FLIGHT = 20;
const MAX_OPENING = 50;
/** One address has 28,000 ports. A second one is used only where they may not suffice, because binding to it takes time. */
const CONNECTIONS_PER_ADDRESS = 20_000;
const SEND_FRAME = maskedFrame();

const peers = [];

/** With a mask of zeros the payload is sent as it is. */
function maskedFrame() {
  const header = Buffer.from([0x82, 0x80 | PAYLOAD_BYTES, 0, 0, 0, 0]);
  return Buffer.concat([header, Buffer.alloc(PAYLOAD_BYTES, 'x')]);
}

function open(port, index) {
  return new Promise((resolve, reject) => {
    const address = Math.floor(index / CONNECTIONS_PER_ADDRESS);
    const from = address === 0 ? {} : { localAddress: `127.0.0.${1 + address}` };
    const socket = net.connect({ port, host: '127.0.0.1', ...from }, () => socket.write(HANDSHAKE));
    const peer = { socket, bytes: 0, onFrame: () => {} };
    socket.setNoDelay(true);
    socket.on('error', reject);
    socket.once('data', () => {
      socket.on('data', ({ length }) => {
        peer.bytes += length;
        for (; peer.bytes >= FRAME_BYTES; peer.bytes -= FRAME_BYTES) peer.onFrame();
      });
      peers.push(peer);
      resolve();
    });
  });
}

async function openAll({ port, connections }) {
  let next = 0;
  const worker = async () => {
    while (next < connections) await open(port, next++);
  };
  await Promise.all(Array.from({ length: Math.min(MAX_OPENING, connections) }, worker));
}

/** Each connection in turn sends a message. A connection has one message under way at most. */
function echo(messages) {
  return new Promise((resolve) => {
    const times = new Float64Array(messages);
    /** A ring of the connections that have no message under way. */
    const idle = [...peers];
    let first = 0;
    let last = 0;
    let sent = 0;
    let received = 0;
    const sendNext = () => {
      if (sent === messages) return;
      const peer = idle[first];
      first = (first + 1) % idle.length;
      sent += 1;
      const startMs = performance.now();
      peer.onFrame = () => {
        times[received] = performance.now() - startMs;
        received += 1;
        idle[last] = peer;
        last = (last + 1) % idle.length;
        if (received === messages) resolve(times);
        else sendNext();
      };
      peer.socket.write(SEND_FRAME);
    };
    for (let flight = 0; flight < Math.min(MAX_IN_FLIGHT, peers.length); flight += 1) sendNext();
  });
}

/**
 * One connection sends, and the server sends that to all. The next message follows when all have received it, and that is
 * the time which is measured.
 */
function broadcast(messages) {
  return new Promise((resolve) => {
    const times = new Float64Array(messages);
    const total = messages * peers.length;
    let received = 0;
    let startMs = 0;
    const sendNext = () => {
      startMs = performance.now();
      peers[0].socket.write(SEND_FRAME);
    };
    for (const peer of peers) {
      peer.onFrame = () => {
        received += 1;
        if (received % peers.length !== 0) return;
        times[received / peers.length - 1] = performance.now() - startMs;
        if (received === total) resolve(times);
        else sendNext();
      };
    }
    sendNext();
  });
}

const commands = {
  async open(message) {
    await openAll(message);
    process.send({});
  },
  async work({ workload, messages }) {
    const times = await (workload === 'echo' ? echo(messages) : broadcast(messages));
    for (const peer of peers) peer.onFrame = () => {};
    process.send({ timesMs: [...times], received: messages * (workload === 'echo' ? 1 : peers.length) });
  },
};
process.on('message', (message) => commands[message.command](message));
process.on('disconnect', () => process.exit());
