/** Rows about connections and what is kept for them. */
import { TRANSPORTS, type ByTransport } from '../types/index.ts';
import { histogram, labelled, single, type Metric, type MetricState, type Point } from './metric.ts';

const transports = (reading: ByTransport | undefined): Point[] =>
  reading === undefined
    ? []
    : TRANSPORTS.map((transport) => ({ labels: { transport }, value: reading[transport] }));

const connections = (state: MetricState) => state.sample?.connections;

export const CONNECTIONS: readonly Metric[] = [
  labelled(
    'gauge',
    'ws.connections.active',
    ['{connection}', 'Connections that the server holds open.', 'transport'],
    (state) => transports(connections(state)?.active),
  ),
  labelled(
    'counter',
    'ws.connections.opened',
    ['{connection}', 'Connections opened.', 'transport'],
    (state) => transports(connections(state)?.openedTotal),
  ),
  labelled(
    'counter',
    'ws.connections.closed',
    ['{connection}', 'Connections closed. Opened minus closed is what is held.', 'transport'],
    (state) => transports(connections(state)?.closedTotal),
  ),
  labelled(
    'counter',
    'ws.close',
    ['{close}', 'WebSocket closes by code; 3000-3999 are `3xxx`, 4000-4999 `4xxx`.', 'code'],
    (state) => closeCodes(connections(state)?.closeCodes),
  ),
  histogram(
    'ws.heartbeat.rtt',
    ['s', 'Ping to pong, pings of the application and of the agent.'],
    (state) => connections(state)?.rtt,
  ),
  single(
    'counter',
    'ws.messages.sent',
    ['{message}', 'Messages handed to send().'],
    (state) => connections(state)?.messagesSentTotal,
  ),
  single(
    'counter',
    'ws.messages.failed',
    ['{message}', 'Messages that send() reported as failed.'],
    (state) => connections(state)?.messagesFailedTotal,
  ),
  single(
    'gauge',
    'ws.send_buffer',
    ['By', 'Sum of bufferedAmount: who is slow, not how much memory (a broadcast string is shared).'],
    (state) => connections(state)?.sendBufferBytes,
  ),
  single(
    'gauge',
    'wsguard.connections.unanswering',
    ['{connection}', 'Open, asked, and nothing came back. What cannot be asked is never in it.'],
    (state) => connections(state)?.unanswering,
  ),
  single(
    'gauge',
    'wsguard.connections.unaskable',
    ['{connection}', 'Open connections that cannot be asked (SSE, polling, foreign upgrades, pings off).'],
    (state) => connections(state)?.unaskable,
  ),
  single(
    'gauge',
    'wsguard.connections.retained',
    ['{connection}', 'Closed, and alive after two major collections.'],
    (state) => connections(state)?.retained,
  ),
];

export const COLLECTIONS: readonly Metric[] = [
  labelled(
    'gauge',
    'wsguard.registry.entries',
    ['{entry}', 'Live entries of each registry.', 'registry'],
    ({ sample }) =>
      (sample?.registries ?? []).map(({ name, entries }) => ({ labels: { registry: name }, value: entries })),
  ),
  labelled(
    'gauge',
    'wsguard.emitter.listeners',
    ['{listener}', 'Listeners of each event; event `*` is the sum over the emitter.', 'emitter', 'event'],
    ({ sample }) =>
      (sample?.emitters ?? []).map(({ emitter, event, listeners }) => ({
        labels: { emitter, event },
        value: listeners,
      })),
  ),
  labelled(
    'gauge',
    'wsguard.queue.items',
    ['{item}', 'Items waiting in each queue.', 'queue'],
    ({ sample }) =>
      (sample?.queues ?? []).map(({ name, items }) => ({ labels: { queue: name }, value: items })),
  ),
  labelled(
    'gauge',
    'wsguard.room.members',
    ['{member}', 'Members of all rooms of each rooms map.', 'rooms'],
    ({ sample }) =>
      (sample?.rooms ?? []).map(({ name, members }) => ({ labels: { rooms: name }, value: members })),
  ),
];

/** Clients choose the codes from 3000 on, so these are two series; RFC 6455 registers 1000 to 1015. */
function closeCodes(counts: Readonly<Record<string, number>> | undefined): Point[] {
  return Object.entries(counts ?? {}).map(([code, value]) => ({ labels: { code: codeClass(code) }, value }));
}

function codeClass(code: string): string {
  if (/^3(\d{3}|xxx)$/.test(code)) return '3xxx';
  if (/^4(\d{3}|xxx)$/.test(code)) return '4xxx';
  return /^10(0\d|1[0-5])$/.test(code) ? code : 'other';
}
