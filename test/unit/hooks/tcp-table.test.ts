import { mkdtempSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createGuard } from '../../../src/core/guard.ts';
import { lostPeers, peerKey, TcpTable } from '../../../src/hooks/connections/tcp-table.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

const HEADER =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
const line = (local: string, remote: string, timer: string, retransmits: string): string =>
  `   0: ${local} ${remote} 01 00000000:00000000 ${timer}:00000014 ${retransmits}     0        0 1 1 0 20 4 30 10 -1\n`;
const table = (name: string, text: string): string => {
  const file = join(mkdtempSync(join(tmpdir(), 'wsguard-tcp-table-')), name);
  writeFileSync(file, text);
  return file;
};
const socket = (localPort: number, remoteAddress: string, remotePort: number): Socket =>
  ({ localPort, remoteAddress, remotePort }) as Socket;

test('peers with retransmits, or that have closed, are listed; slow readers and healthy peers are not', async () => {
  const v4 = table(
    'tcp',
    HEADER +
      line('0100007F:1F90', '0200000A:D431', '01', '00000003') +
      // Fewer than three retransmits, a zero-window probe (a slow reader), and no timer.
      line('0100007F:1F90', '0200000A:D432', '01', '00000002') +
      line('0100007F:1F90', '0200000A:D433', '04', '00000009') +
      line('0100007F:1F90', '0200000A:D434', '00', '00000000') +
      line('0100007F:1F90', '0200000A:D435', '00', '00000000').replace(' 01 ', ' 08 '),
  );
  const peers = await lostPeers([v4, join(tmpdir(), 'no-such-table')]);
  expect([...(peers ?? [])]).toEqual(['8080 0200000A:D431', '8080 0200000A:D435']);
  expect(peerKey(socket(8080, '10.0.0.2', 54321))).toBe('8080 0200000A:D431');
});

test.each([
  ['::ffff:10.0.0.2', '0000000000000000FFFF00000200000A'],
  ['::1', '00000000000000000000000001000000'],
  ['2001:db8::8a2e:370:7334', 'B80D0120000000002E8A000034737003'],
  ['fe80::1%eth0', '000080FE000000000000000001000000'],
])('%s as /proc/net/tcp6 writes it', (address, hex) => {
  expect(peerKey(socket(443, address, 256))).toBe(`443 ${hex}:0100`);
});

test('a line that spans two chunks is read as one', async () => {
  const many = Array.from({ length: 3_000 }, (_, index) =>
    line('0100007F:1F90', `0200000A:${(20_000 + index).toString(16).toUpperCase()}`, '01', '00000004'),
  );
  const peers = await lostPeers([table('tcp', HEADER + many.join(''))]);
  expect(peers?.size).toBe(3_000);
});

test('a table with more than 50,000 lines is not read to its end', async () => {
  const long = HEADER + line('0100007F:1F90', '0200000A:D431', '00', '00000000').repeat(60_000);
  expect(await lostPeers([table('tcp', long)])).toBeNull();
});

test('a closed socket has no key', () => {
  expect(peerKey({} as Socket)).toBeNull();
});

describe('TcpTable', () => {
  const { platform } = process;
  const setPlatform = (value: string) => Object.defineProperty(process, 'platform', { value });
  beforeEach(() => setPlatform('linux'));
  afterEach(() => setPlatform(platform));

  function setUp(files: string[], timeScale = 1) {
    const clock = createFakeClock();
    const faults: string[] = [];
    const guard = createGuard(({ part }) => faults.push(part));
    const runAsync = jest.spyOn(guard, 'runAsync');
    const tcpTable = new TcpTable(clock, guard, timeScale, files);
    const readings: string[][] = [];
    /** Requests a read and waits for its end. */
    const request = async (): Promise<void> => {
      tcpTable.requestRead((peers) => readings.push([...peers]));
      await Promise.all(runAsync.mock.results.map(({ value }) => value as Promise<unknown>));
    };
    return { clock, faults, tcpTable, readings, request };
  }
  const oneRetransmit = HEADER + line('0100007F:1F90', '0200000A:D431', '01', '00000003');

  test('reads at most once a minute', async () => {
    const { clock, readings, request } = setUp([table('tcp', oneRetransmit)]);
    await request();
    await request();
    expect(readings).toEqual([['8080 0200000A:D431']]);
    clock.advance(59_999);
    await request();
    expect(readings).toHaveLength(1);
    clock.advance(1);
    await request();
    expect(readings).toHaveLength(2);
  });

  test('with a time scale reads at most every five seconds', async () => {
    const { clock, readings, request } = setUp([table('tcp', oneRetransmit)], 600);
    await request();
    clock.advance(4_999);
    await request();
    expect(readings).toHaveLength(1);
    clock.advance(1);
    await request();
    expect(readings).toHaveLength(2);
  });

  test('reads nothing on another system', async () => {
    setPlatform('darwin');
    const { readings, request } = setUp([table('tcp', oneRetransmit)]);
    await request();
    expect(readings).toEqual([]);
  });

  test.each([
    ['a table that cannot be opened', 'not-a-folder', 'it cannot be read (ENOTDIR)'],
    ['a table that is too long', null, 'it has more than 50,000 connections'],
  ])('%s is reported and not read again', async (_case, inside, reason) => {
    const long = HEADER + line('0100007F:1F90', '0200000A:D431', '00', '00000000').repeat(60_000);
    const file = table('tcp', inside === null ? long : oneRetransmit);
    const { clock, tcpTable, readings, faults, request } = setUp([
      inside === null ? file : join(file, inside),
    ]);
    expect(tcpTable.unreadable).toBeNull();
    await request();
    expect(tcpTable.unreadable).toBe(reason);
    clock.advance(60_000);
    await request();
    expect(readings).toEqual([]);
    expect(faults).toEqual([]);
  });
});
