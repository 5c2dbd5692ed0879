/** The source text of a leaking ws server, and readers of the alerts that it causes. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Alert } from '../../src/types/index.ts';
import { AGENT, ROOT, until, type Child } from './child.ts';
import { expectValid } from './schemas.ts';

/** A ws server that adds each of its connections to the registry `clients` and never deletes one. */
export const LEAK = `
const { WebSocketServer, WebSocket } = require(${JSON.stringify(join(ROOT, 'node_modules', 'ws'))});
const agent = require(${JSON.stringify(AGENT)}).start();
const clients = new Map();
const wss = new WebSocketServer({ port: 0 }, () => setInterval(() => {
  const client = new WebSocket('ws://127.0.0.1:' + wss.address().port);
  client.on('open', () => setTimeout(() => client.close(), 100));
}, 25));
let served = 0;
wss.on('connection', (socket) => clients.set(served++, socket));
agent.watchRegistry('clients', clients);
`;

export const alertsOf = (child: Child, dir = join(child.cwd, '.wsguard')): Alert[] =>
  linesOf(join(dir, 'alerts.ndjson')).map((alert) => expectValid('alert', alert));

function linesOf(file: string): Alert[] {
  try {
    const text = readFileSync(file, 'utf8');
    return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Alert]));
  } catch {
    return [];
  }
}
export const alertWhere = (child: Child, matches: (alert: Alert) => boolean, dir?: string): Promise<Alert> =>
  until(
    () => alertsOf(child, dir).find(matches),
    () => child.stderr(),
  );
