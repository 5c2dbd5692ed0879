/** The metrics of connections, and of the collections that hold entries for them. Pure. */
import { TRANSPORTS, type ByTransport } from '../types/sample.ts';
import {
  histogram,
  labelled,
  labelledHistogram,
  single,
  type Metric,
  type MetricState,
  type Point,
} from './metric.ts';

const transports = (reading: ByTransport | undefined): Point[] =>
  reading === undefined
    ? []
    : TRANSPORTS.map((transport) => ({ labels: { transport }, value: reading[transport] }));

const connections = (state: MetricState) => state.sample?.connections;

export const CONNECTION_METRICS: readonly Metric[] = [
  labelled('gauge', 'ws.connections.active', ['{connection}', 'Open connections.', 'transport'], (state) =>
    transports(connections(state)?.active),
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
    ['{connection}', 'Connections closed. Opened minus closed is the number of open ones.', 'transport'],
    (state) => transports(connections(state)?.closedTotal),
  ),
  labelled(
    'counter',
    'ws.close',
    [
      '{close}',
      'WebSocket closes by close code. Codes 3000-3999 are counted as `3xxx`, 4000-4999 as `4xxx`.',
      'code',
    ],
    (state) => closeCodes(connections(state)?.closeCodes),
  ),
  labelledHistogram(
    'ws.connection.duration',
    [
      's',
      'Time from when the agent saw a connection until it closed, by how it ended. Long-polling sessions are not included.',
      'transport',
      'status',
    ],
    (state) =>
      (connections(state)?.durations ?? []).map(({ transport, status, durations }) => ({
        labels: { transport, status },
        histogram: durations,
      })),
  ),
  histogram(
    'ws.heartbeat.rtt',
    ['s', 'Time from ping to pong, for pings of the application and of the agent.'],
    (state) => connections(state)?.rtt,
  ),
  single(
    'counter',
    'ws.messages.sent',
    ['{message}', 'Messages passed to send().'],
    (state) => connections(state)?.messagesSentTotal,
  ),
  single(
    'counter',
    'ws.messages.failed',
    ['{message}', 'Messages whose send() failed.'],
    (state) => connections(state)?.messagesFailedTotal,
  ),
  single(
    'gauge',
    'ws.send_buffer',
    [
      'By',
      'Pending writes: the sum of bufferedAmount. It shows slow peers, not memory use, because the copies of a broadcast share one string.',
    ],
    (state) => connections(state)?.sendBufferBytes,
  ),
  single(
    'gauge',
    'wsguard.connections.unanswering',
    [
      '{connection}',
      'Open connections that do not reply to pings. Connections that cannot be probed are not included.',
    ],
    (state) => connections(state)?.unanswering,
  ),
  single(
    'gauge',
    'wsguard.connections.unaskable',
    [
      '{connection}',
      'Open connections that cannot be probed (SSE, polling, upgrades to other protocols, pings off), or that are probed under suspicion only.',
    ],
    (state) => connections(state)?.unaskable,
  ),
  single(
    'gauge',
    'wsguard.connections.retained',
    ['{connection}', 'Closed connections that are still in memory after two major GCs.'],
    (state) => connections(state)?.retained,
  ),
];

/** Without a remedy in use they have no series. */
export const REMEDY_METRICS: readonly Metric[] = [
  histogram(
    'ws.fanout.lag',
    ['s', 'Time from publish() to receipt by the fan-out remedy, by the clocks of the two hosts.'],
    ({ sample }) => sample?.remedies?.fanoutLag,
  ),
  labelled(
    'counter',
    'wsguard.remedy.actions',
    [
      '{action}',
      'Actions of the remedies, such as dropped messages and terminated clients.',
      'remedy',
      'action',
    ],
    ({ sample }) =>
      Object.entries(sample?.remedies?.actions ?? {}).map(([name, value]) => {
        const [remedy = '', action = ''] = name.split(' ');
        return { labels: { remedy, action }, value };
      }),
  ),
];

export const COLLECTION_METRICS: readonly Metric[] = [
  labelled(
    'gauge',
    'wsguard.registry.entries',
    ['{entry}', 'Entries of each registry.', 'registry'],
    ({ sample }) =>
      (sample?.registries ?? []).map(({ name, entries }) => ({ labels: { registry: name }, value: entries })),
  ),
  labelled(
    'gauge',
    'wsguard.emitter.listeners',
    [
      '{listener}',
      'Listeners of each event of an emitter. The event `*` is the sum of all events.',
      'emitter',
      'event',
    ],
    ({ sample }) =>
      (sample?.emitters ?? []).map(({ emitter, event, listeners }) => ({
        labels: { emitter, event },
        value: listeners,
      })),
  ),
  labelled('gauge', 'wsguard.queue.items', ['{item}', 'Items in each queue.', 'queue'], ({ sample }) =>
    (sample?.queues ?? []).map(({ name, items }) => ({ labels: { queue: name }, value: items })),
  ),
  labelled(
    'gauge',
    'wsguard.room.members',
    ['{member}', 'Members of all rooms in each map of rooms.', 'rooms'],
    ({ sample }) =>
      (sample?.rooms ?? []).map(({ name, members }) => ({ labels: { rooms: name }, value: members })),
  ),
];

/** RFC 6455 registers the codes 1000 to 1015. Clients choose those from 3000 on, so these become two series. */
function closeCodes(counts: Readonly<Record<string, number>> | undefined): Point[] {
  return Object.entries(counts ?? {}).map(([code, value]) => ({ labels: { code: codeClass(code) }, value }));
}

function codeClass(code: string): string {
  if (/^3(\d{3}|xxx)$/.test(code)) return '3xxx';
  if (/^4(\d{3}|xxx)$/.test(code)) return '4xxx';
  return /^10(0\d|1[0-5])$/.test(code) ? code : 'other';
}
