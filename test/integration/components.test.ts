/** The real components start, reply and end. Other integration tests depend on this. */
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describeWith, startComponent } from '../support/components.ts';
import { eventually } from '../support/eventually.ts';

const otlpLog = JSON.stringify({
  resourceLogs: [
    {
      resource: { attributes: [] },
      scopeLogs: [{ logRecords: [{ severityNumber: 13, body: { stringValue: 'hello' }, attributes: [] }] }],
    },
  ],
});
const post = (url: string, headers: Record<string, string> = {}): Promise<number> =>
  fetch(`${url}/v1/logs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: otlpLog,
  }).then(({ status }) => status);

describeWith(['collector'], 'the collector', () => {
  test('accepts log records, refuses wrong credentials, keeps its ports over a restart', async () => {
    const first = await startComponent('collector');
    const basic = (user: string) => ({ authorization: `Basic ${Buffer.from(user).toString('base64')}` });
    expect(await post(first.endpoint)).toBe(200);
    expect(await post(first.basicEndpoint, basic('agent:wrong'))).toBe(401);
    expect(await post(first.basicEndpoint, basic('agent:secretpw'))).toBe(200);
    expect(await post(first.bearerEndpoint, { authorization: 'Bearer tok-123' })).toBe(200);
    await eventually(() => first.logRecords().length === 3, 'three log records');

    const second = await first.restart();
    expect(second.endpoint).toBe(first.endpoint);
    expect(await post(second.endpoint)).toBe(200);
    await eventually(() => second.logRecords().length === 4, 'a log record after the restart');
    await second.stop({ keep: false });
    await expect(post(second.endpoint)).rejects.toThrow();
  });
});

describeWith(['prometheus'], 'prometheus', () => {
  test('scrapes a page', async () => {
    const page = createServer((_, response) => response.end('lab_answer 42\n'));
    await new Promise<void>((resolve) => page.listen(0, '127.0.0.1', resolve));
    const target = `127.0.0.1:${(page.address() as AddressInfo).port}`;
    const prometheus = await startComponent('prometheus', { targets: [target] });
    const result = await eventually(
      async () => (await prometheus.query('lab_answer'))[0],
      'the scraped metric',
    );
    expect(result.value[1]).toBe('42');
    await prometheus.stop();
    page.close();
  });
});

describeWith(['redis', 'nginx'], 'redis and nginx', () => {
  test('reply on free ports', async () => {
    const page = createServer((_, response) => response.end('through the proxy'));
    await new Promise<void>((resolve) => page.listen(0, '127.0.0.1', resolve));
    const redis = await startComponent('redis');
    const nginx = await startComponent('nginx', { upstreamPort: (page.address() as AddressInfo).port });
    expect(await (await fetch(nginx.url)).text()).toBe('through the proxy');
    expect(redis.ports['redis']).not.toBe(6379);
    await Promise.all([redis.stop(), nginx.stop()]);
    page.close();
  });
});

describeWith(['netns'], 'the two network namespaces', () => {
  test('after a cut the server keeps a connection whose client has died', async () => {
    const net = await startComponent('netns');
    const inside = (side: 'server' | 'client', code: string) => {
      const [command, ...args] = [...net.prefix(side), process.execPath, '-e', code];
      return spawn(command as string, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    };
    const server = inside(
      'server',
      `require('net').createServer((s) => { console.log('open'); s.on('close', () => console.log('closed')).on('error', () => {}); })
        .listen(8000, '${net.serverIp}', () => console.log('listening'))`,
    );
    let output = '';
    server.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    try {
      await eventually(() => output.includes('listening'), 'the server to listen');
      const client = inside('client', `require('net').connect(8000, '${net.serverIp}')`);
      await eventually(() => output.includes('open'), 'the connection');
      await net.cut();
      client.kill('SIGKILL');
      await eventually(async () => (await net.state()).includes('ESTAB'), 'the established connection');
      expect(output).not.toContain('closed');
    } finally {
      server.kill('SIGKILL');
      await net.stop();
    }
  });
});
