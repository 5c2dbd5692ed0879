// A server of the chaos run, its clients, and the stand-ins for a collector and a webhook.
import { execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..', '..');
const require = createRequire(import.meta.url);
const { WebSocket } = require('ws');
export const AGENT = join(root, 'dist', 'index.js');
/** A reply that takes longer is lost. GC near the limit takes seconds on a busy machine. */
const REPLY_WITHIN_MS = 60_000;

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** `agent: false` starts the control: the same server without the agent. */
export async function startServer({ agent, mode, env, nodeArgs = [] }) {
  const preload = agent ? ['--require', AGENT] : [];
  const execArgv = ['--require', join(here, 'clock-shift.cjs'), ...preload, '--expose-gc', ...nodeArgs];
  const child = fork(join(here, 'server.cjs'), [agent ? AGENT : 'none', mode], {
    execArgv,
    env: { ...process.env, NODE_OPTIONS: '', ...env },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let stderr = '';
  child.stderr.on('data', (text) => (stderr += text));
  const state = { exit: null };
  const exited = new Promise((resolve) => {
    child.on('exit', (code, signal) => {
      state.exit = signal ?? code;
      resolve(null);
    });
  });
  const replies = new Map();
  let serial = 0;
  const [{ port }] = await Promise.race([
    once(child, 'message'),
    exited.then(() => Promise.reject(new Error(`the server ended: ${stderr.slice(-2000)}`))),
  ]);
  child.on('message', ({ id, value }) => {
    replies.get(id)?.(value);
    replies.delete(id);
  });
  return {
    pid: child.pid,
    port,
    state,
    /** The log lines since the last call. */
    takeLog() {
      const text = stderr;
      stderr = '';
      return text;
    },
    ask(command, fields = {}, limitMs = REPLY_WITHIN_MS) {
      if (state.exit !== null) return Promise.resolve(null);
      const id = (serial += 1);
      child.send({ command, id, ...fields });
      return Promise.race([
        new Promise((resolve) => replies.set(id, resolve)),
        exited,
        pause(limitMs).then(() => 'no answer'),
      ]);
    },
    stop: () => child.kill('SIGKILL'),
  };
}

/** The processes that a server has started, without itself. */
export function childrenOf(pid) {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === pid;
      } catch {
        return false;
      }
    })
    .map(Number);
}

/** Clients that stay and send `perSecond` requests each, and others that come, send one and go. */
export class Load {
  sent = 0;
  lost = 0;
  #port;
  #timers = [];
  #peers = new Set();
  #pending = 0;
  #visits = 0;
  #isOver = false;
  isChurnOn = true;

  constructor(port) {
    this.#port = port;
  }

  get open() {
    return this.#peers.size;
  }

  async start({ connections, perSecond, churnPerSecond }) {
    for (let n = 0; n < connections; n += 1) await this.#open();
    this.#timers.push(
      setInterval(() => {
        for (const peer of this.#peers) void this.#request(peer);
      }, 1_000 / perSecond),
      setInterval(() => this.isChurnOn && void this.#visit(), 1_000 / churnPerSecond),
    );
  }

  /** Replaces the oldest connection by a new one, `perSecond` times a second. */
  replace(perSecond) {
    this.#timers.push(
      setInterval(() => {
        const [oldest] = this.#peers;
        if (oldest !== undefined) this.#close(oldest);
        void this.#open().catch(() => (this.lost += 1));
      }, 1_000 / perSecond),
    );
  }

  /** Waits until every request has its reply or is lost. */
  async stop() {
    for (const timer of this.#timers) clearInterval(timer);
    const untilMs = Date.now() + REPLY_WITHIN_MS;
    while (this.#pending > 0 && Date.now() < untilMs) await pause(50);
    this.lost += this.#pending;
    this.#isOver = true;
    for (const peer of this.#peers) peer.socket.terminate();
  }

  async #open() {
    const socket = new WebSocket(`ws://127.0.0.1:${this.#port}`, { perMessageDeflate: false });
    const peer = { socket, waiting: [] };
    socket.on('error', () => {});
    await once(socket, 'open');
    this.#peers.add(peer);
    socket.on('message', () => {
      this.#pending -= 1;
      peer.waiting.shift()?.();
    });
    socket.on('close', () => {
      // A connection of the load ends only when the load says so.
      if (this.#peers.delete(peer) && !this.#isOver) this.lost += 1;
      this.lost += peer.waiting.length;
      this.#pending -= peer.waiting.length;
      for (const done of peer.waiting) done();
    });
    return peer;
  }

  #request(peer) {
    this.sent += 1;
    this.#pending += 1;
    return new Promise((resolve) => {
      peer.waiting.push(resolve);
      peer.socket.send('x'.repeat(64));
    });
  }

  /** Stops the clients that come and go, and waits until the last one has gone. */
  async stopChurn() {
    this.isChurnOn = false;
    while (this.#visits > 0) await pause(20);
  }

  async #visit() {
    this.#visits += 1;
    try {
      const peer = await this.#open();
      await this.#request(peer);
      this.#close(peer);
    } catch {
      this.lost += 1;
    } finally {
      this.#visits -= 1;
    }
  }

  #close(peer) {
    this.#peers.delete(peer);
    peer.socket.close();
  }
}

/** Answers POST requests, or resets or ignores them while `fault` says so. `received` counts the answered ones. */
export async function startSink() {
  const sink = { received: 0, refused: 0, fault: null, url: '', stop: () => {} };
  const server = createServer((request, response) => {
    if (sink.fault !== null) sink.refused += 1;
    if (sink.fault === 'reset') request.socket.resetAndDestroy();
    if (sink.fault !== null) return;
    request.resume().on('end', () => {
      sink.received += 1;
      response.end('{}');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  sink.url = `http://127.0.0.1:${server.address().port}`;
  sink.stop = () => {
    server.closeAllConnections();
    server.close();
  };
  return sink;
}

/** A small file system of its own in `dir`, or the reason why this machine gives none. */
export function mountSmallDisk(dir, megabytes) {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=700`, 'none', dir], {
      stdio: 'pipe',
    });
    return { because: null, unmount: () => execFileSync('umount', ['-l', dir]) };
  } catch (error) {
    return { because: `no tmpfs (needs root): ${error.code ?? error.status}`, unmount: () => {} };
  }
}
