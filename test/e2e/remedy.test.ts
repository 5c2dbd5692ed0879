/** `@wsguard/agent/remedy` in real processes: known to the agent, usable without it, and harmless to how a process ends. */
import { join } from 'node:path';
import { AGENT, endChildren, ROOT, startChild } from '../support/child.ts';

afterEach(endChildren);

const REMEDY = join(ROOT, 'dist', 'remedy', 'index.js');

test('the agent counts the parts that were made before it started and after, and their actions', async () => {
  const child = startChild({
    files: {
      'main.js': `
        const { ConnectionRegistry, Rooms, BoundedMessageQueue, safeSend } = require(${JSON.stringify(REMEDY)});
        const { EventEmitter } = require('node:events');
        const { start } = require(${JSON.stringify(AGENT)});
        const ws = () => Object.assign(new EventEmitter(), { readyState: 1, bufferedAmount: 50_000, close() {}, terminate() {} });
        const registry = new ConnectionRegistry();
        registry.add(ws(), { headers: {}, socket: {} });
        safeSend(ws(), 'too slow for this');
        require('node:http').createServer().listen(0, async () => {
          const agent = start();
          const rooms = new Rooms();
          for (const room of ['a', 'b']) rooms.join(room, { rooms: new Set() });
          const jobs = new BoundedMessageQueue({ name: 'jobs' });
          jobs.queue('x');
          const { Registry } = require(${JSON.stringify(join(ROOT, 'node_modules', 'prom-client'))});
          const prometheus = new Registry();
          agent.collectInto(prometheus);
          const wanted = /registry="ConnectionRegistry"|queue="jobs"|rooms="Rooms"|remedy_actions_total\\{/;
          for (;;) {
            await agent.status();
            const page = await prometheus.metrics();
            const rows = page.split('\\n').filter((row) => wanted.test(row) && !row.startsWith('#'));
            if (rows.length >= 4) {
              console.log('rows ' + JSON.stringify(rows.map((row) => row.replace(/service[^,}]*,?/, ''))));
              break;
            }
            await new Promise((resolve) => setTimeout(resolve, 100));
          }
          registry.close();
          await agent.stop();
          process.exit(0);
        });`,
    },
    nodeArgs: ['--require', AGENT],
    env: { WSGUARD_INTERVAL_MS: '1000' },
  });
  const [, text] = await child.stdoutMatch(/rows (\[.*\])/);
  const rows = (JSON.parse(text ?? '[]') as string[]).join('\n');
  expect(rows).toMatch(/wsguard_registry_entries\{registry="ConnectionRegistry"\} 1/);
  expect(rows).toMatch(/wsguard_queue_items\{queue="jobs"\} 1/);
  expect(rows).toMatch(/wsguard_room_members\{rooms="Rooms"\} 2/);
  expect(rows).toMatch(/wsguard_remedy_actions_total\{remedy="safeSend",action="dropped"\} 1/);
  expect((await child.exited).code).toBe(0);
});

test('without an agent the parts load no package', async () => {
  const child = startChild({
    files: {
      'main.js': `require(${JSON.stringify(REMEDY)}); console.log(JSON.stringify(Object.keys(require.cache)));`,
    },
  });
  expect(await child.exited).toEqual({ code: 0, signal: null });
  const files = JSON.parse(child.stdout()) as string[];
  expect(files.filter((file) => file.includes('node_modules'))).toEqual([]);
  expect(files.filter((file) => !/[\\/]dist[\\/](?:core|remedy|sample)[\\/]|main\.js$/.test(file))).toEqual(
    [],
  );
});

test('drain with a signal: the clients get 1001, then the signal ends the process', async () => {
  const child = startChild({
    files: {
      'main.js': `
        const { drain } = require(${JSON.stringify(REMEDY)});
        const { WebSocket, WebSocketServer } = require(${JSON.stringify(join(ROOT, 'node_modules', 'ws'))});
        const wss = new WebSocketServer({ port: 0, host: '127.0.0.1' }, () => {
          const ws = new WebSocket('ws://127.0.0.1:' + wss.address().port);
          ws.on('close', (code) => console.log('closed ' + code));
          ws.on('open', () => console.log('open'));
        });
        drain(wss, { signal: 'SIGTERM' }).then((result) => console.log(JSON.stringify(result)));`,
    },
  });
  await child.stdoutMatch(/open/);
  child.process.kill('SIGTERM');
  expect(await child.exited).toEqual({ code: null, signal: 'SIGTERM' });
  expect(child.stdout()).toContain('closed 1001');
  expect(child.stdout()).toContain('{"closed":1,"forced":0}');
});

test('no part keeps the process alive', async () => {
  const child = startChild({
    files: {
      'main.js': `
        const { EventEmitter } = require('node:events');
        const remedy = require(${JSON.stringify(REMEDY)});
        remedy.heartbeat(Object.assign(new EventEmitter(), { clients: new Set() }));
        new remedy.ConnectionRegistry();
        new remedy.Rooms();
        new remedy.BoundedMessageQueue({ name: 'jobs' });
        remedy.memoryGuard({ onExit() {} });`,
    },
  });
  expect(await child.exited).toEqual({ code: 0, signal: null });
});
