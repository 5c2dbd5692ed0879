/** A strict TypeScript application that uses the public types with those of ws, Socket.IO, prom-client and `node:http`. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../support/child.ts';

const FOLDER = mkdtempSync(join(tmpdir(), 'wsguard-typescript-'));
const CONSUMER = `
import { createServer, ServerResponse } from 'node:http';
import { EventEmitter } from 'node:events';
import { Registry } from 'prom-client';
import { Server } from 'socket.io';
import { WebSocketServer, type WebSocket } from 'ws';
import { HeapAnalyzer, MemoryMonitor, start } from '@wsguard/agent';
import type { Agent, Alert, Analysis, Audit, Culprit, Dispose, MemoryStats, Snapshot, StartOptions, Status, Suspect, TimeToLimit } from '@wsguard/agent';
import { BoundedMessageQueue, ConnectionRegistry, drain, heartbeat, memoryGuard, memorySafeServer, Rooms, safeSend, scopedListeners, sseHeartbeat } from '@wsguard/agent/remedy';

const options: StartOptions = { service: 'chat', intervalMs: 1_000 };
const agent: Agent = start(options);
const ends: Dispose[] = [
  agent.watchRegistry('map', new Map<string, WebSocket>()), agent.watchRegistry('set', new Set<number>()),
  agent.watchRegistry('array', [1]), agent.watchRegistry('number', () => 1),
  agent.watchQueue('queue', [], { oldestAgeMs: () => 1 }),
  agent.watchRooms('sets', new Map<string, Set<string>>()), agent.watchRooms('arrays', new Map<string, string[]>()),
  agent.watchRooms('maps', new Map<string, Map<string, number>>()),
  agent.watchEmitter('bus', new EventEmitter()), agent.collectInto(new Registry()),
  agent.on('alert', (alert: Alert) => alert.culprit?.file), agent.on('snapshot', (snapshot: Snapshot) => snapshot.outcome),
  agent.on('report', ({ alertId, file }) => alertId + file),
];
class Response extends ServerResponse { readonly user = 'a response of Express has more fields'; }
const wss = new WebSocketServer({ noServer: true });
const rooms = new Rooms();
const registry = new ConnectionRegistry({ maxConnections: 10, onRemoved: ({ id }) => id, idOf: (request) => request.url ?? '' });
ends.push(heartbeat(wss, { intervalMs: 1_000, onDead: (ws: WebSocket) => ws.terminate() }));
createServer((request, response) => {
  ends.push(agent.watchConnection(request), agent.watchConnection(response, { id: 'a' }), agent.watchConnection(request.socket));
  ends.push(sseHeartbeat(response, { onDead: (dead: Response) => dead.user }));
});
wss.on('connection', (ws, request) => {
  ends.push(agent.watchConnection(ws, { id: 'b' }));
  const outcome: 'sent' | 'dropped' | 'queued' | 'closed' = safeSend(ws, 'hello', { policy: 'queue' });
  const connection = registry.add(ws, request);
  if (connection !== null && outcome === 'sent') rooms.join('lobby', connection);
  scopedListeners(ws).on(process, 'warning', () => undefined);
});
ends.push(memoryGuard({ thresholdBytes: 1e9, onPressure: () => undefined, onExit: () => undefined }));
memorySafeServer({ port: 0, statsPort: null, WebSocketServer });
new BoundedMessageQueue({ maxSize: 1, onOverflow: 'close' }).queue('message');
new MemoryMonitor({ registries: { map: new Map() } }).on('leak', ({ hourlyGrowth }) => hourlyGrowth.length);
const stats: MemoryStats = new MemoryMonitor().getMemoryStats();

export async function all(): Promise<void> {
  const { closed, forced } = await drain(new Server(), { signal: 'SIGTERM' });
  await drain(wss, { code: 1001 });
  const status: Status = await agent.status();
  const timeToLimit: TimeToLimit | null = status.timeToLimit;
  const audit: Audit = await agent.audit();
  const suspects: readonly Suspect[] = audit.outcome === 'done' ? audit.suspects : [];
  const snapshot = await agent.snapshot('label');
  const analysis = snapshot.outcome === 'written' ? await new HeapAnalyzer().analyse([snapshot.file]) : null;
  const complete: Analysis | null = analysis !== null && 'suspects' in analysis ? analysis : null;
  const culprit: Culprit | null | undefined = status.alerts[0]?.culprit;
  console.log(closed, forced, timeToLimit?.highMs, suspects, complete?.clean, culprit?.line, stats.heapUsed, ends.length);
  await agent.stop();
}
`;

beforeAll(() => {
  const modules = join(FOLDER, 'node_modules');
  mkdirSync(join(modules, '@wsguard'), { recursive: true });
  symlinkSync(ROOT, join(modules, '@wsguard', 'agent'));
  for (const name of ['prom-client', 'socket.io', 'ws', '@types'])
    symlinkSync(join(ROOT, 'node_modules', name), join(modules, name));
  for (const name of ['commonjs.cts', 'module.mts']) writeFileSync(join(FOLDER, name), CONSUMER);
});
afterAll(() => rmSync(FOLDER, { recursive: true, force: true }));

test.each([
  ['node16', 'node16', ['commonjs.cts', 'module.mts']],
  ['nodenext', 'nodenext', ['commonjs.cts', 'module.mts']],
  ['bundler', 'esnext', ['module.mts']],
])(
  'has no type error with moduleResolution %s',
  async (moduleResolution, module, files) => {
    const compilerOptions = {
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
      target: 'es2022',
      module,
      moduleResolution,
      types: ['node'],
      skipLibCheck: true,
    };
    writeFileSync(join(FOLDER, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }));
    const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
    const text = await new Promise<string>((resolve) => {
      execFile(process.execPath, [tsc, '-p', FOLDER], { cwd: FOLDER }, (_error, out, err) =>
        resolve(out + err),
      );
    });
    expect(text).toBe('');
  },
  120_000,
);
