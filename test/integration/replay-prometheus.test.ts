import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { replay, type Replay } from '../../src/cli/replay.ts';
import { describeWith, startComponent, type Prometheus } from '../support/components.ts';
import { eventually } from '../support/eventually.ts';
import { expectValid } from '../support/schemas.ts';

const STEP_MS = 20_000;
const POINTS = 135;

const START_MS = Date.now() - POINTS * STEP_MS;

/** Serves a metrics page with the complete history up to now, so that a failed scrape loses nothing. */
function serveHistory(lines: (point: number) => readonly string[]): Server {
  const page = Array.from({ length: POINTS }, (_, point) =>
    lines(point).map((line) => `${line} ${START_MS + point * STEP_MS}\n`),
  );
  const server = createServer((_, response) => {
    response.setHeader('content-type', 'text/plain; version=0.0.4');
    response.end(page.flat().join(''));
  });
  return server.listen(0, '127.0.0.1');
}

async function replayed(...argv: string[]): Promise<{ code: number; result: Replay }> {
  let out = '';
  const io = {
    out: (text: string) => (out += text),
    err: () => undefined,
    stdin: Readable.from([]),
    env: {},
    cwd: '/',
  };
  const code = await replay.run([...argv, '--json'], io);
  return { code, result: expectValid('replay', JSON.parse(out) as Replay) };
}

const agentPage = (point: number): string[] => {
  const minute = (point * STEP_MS) / 60_000;
  return [
    `ws_connections_active{transport="websocket"} ${500 + Math.round(12 * minute)}`,
    `ws_connections_opened_total{transport="websocket"} ${900 + Math.round(20 * minute)}`,
    `ws_connections_closed_total{transport="websocket"} ${400 + Math.round(8 * minute)}`,
    `wsguard_connections_unanswering ${Math.round(12 * minute)}`,
    `wsguard_rss_bytes 120000000`,
    `wsguard_external_bytes 3000000`,
    `wsguard_heap_used_bytes 50000000`,
    `wsguard_memory_limit_bytes{limit="heap"} 512000000`,
    `wsguard_gc_major_total ${Math.floor(minute / 5)}`,
    `wsguard_heap_floor_bytes 40000000`,
    `wsguard_emitter_listeners{emitter="bus",event="*"} ${500 + Math.round(12 * minute)}`,
  ];
};
const plainPage = (point: number): string[] => [
  `process_resident_memory_bytes ${100_000_000 + point * 3_000_000}`,
  `nodejs_heap_size_used_bytes ${50_000_000 + point * 2_000_000}`,
  `nodejs_eventloop_lag_p99_seconds 0.02`,
  `process_open_fds 1000`,
  `process_max_fds 1024`,
];

describeWith(['prometheus'], 'replay --prometheus', () => {
  let prometheus: Prometheus;
  const servers: Server[] = [];
  const instances: string[] = [];

  beforeAll(async () => {
    servers.push(serveHistory(agentPage), serveHistory(plainPage));
    await Promise.all(servers.map((server) => once(server, 'listening')));
    for (const server of servers) instances.push(`127.0.0.1:${(server.address() as AddressInfo).port}`);
    prometheus = await startComponent('prometheus', { targets: instances });
    await eventually(async () => {
      const found = await prometheus.query(
        'count_over_time({__name__=~"wsguard_rss_bytes|process_max_fds"}[1h])',
      );
      return found.length === 2 && found.every(({ value }) => value[1] === String(POINTS));
    }, 'the whole history');
  });
  afterAll(async () => {
    await prometheus?.stop();
    for (const server of servers) server.close();
  });

  const range = () => ['--prometheus', prometheus.url, '--from', String(Date.now() / 1000 - 3600)];

  test('finds the alert in the history of the agent, at its time', async () => {
    const { code, result } = await replayed(...range(), '--selector', `{instance="${instances[0]}"}`);
    expect(code).toBe(1);
    const [first] = result.alerts;
    expect(first).toMatchObject({ event: 'opened', kind: 'zombie-connections', subject: 'websocket' });
    const minutes = ((first?.tMs ?? 0) - START_MS) / 60_000;
    expect(minutes).toBeGreaterThan(10);
    expect(minutes).toBeLessThan(30);
  });

  test('finds conditions and no leak in the default metrics of prom-client', async () => {
    const { code, result } = await replayed(...range(), '--selector', `{instance="${instances[1]}"}`);
    expect(code).toBe(0);
    expect(result.alerts).toMatchObject([{ kind: 'descriptor-limit', family: 'condition' }]);
    const floor = result.answers.find(({ detector }) => detector === 'floor');
    expect(floor).toMatchObject({ answer: 'inconclusive', missing: 'connections' });
  });

  test('reports several matching processes, no reply and an invalid selector, each with a hint', async () => {
    await expect(replayed(...range())).rejects.toMatchObject({
      code: 'WSGUARD_REPLAY_SELECTOR',
      hint: expect.stringContaining('--selector'),
    });
    await expect(replayed('--prometheus', 'http://127.0.0.1:9')).rejects.toMatchObject({
      code: 'WSGUARD_REPLAY_PROMETHEUS',
    });
    await expect(replayed(...range(), '--selector', 'job=')).rejects.toMatchObject({
      code: 'WSGUARD_REPLAY_PROMETHEUS',
    });
  });
});
