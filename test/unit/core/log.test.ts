import { createLog } from '../../../src/core/log.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

function open(thread: 'app' | 'watcher', level: 'silent' | 'debug' | 'warn' = 'debug') {
  const lines: Record<string, unknown>[] = [];
  const clock = createFakeClock(1000);
  const write = (line: string): void => {
    expect(line.endsWith('\n')).toBe(true);
    lines.push(JSON.parse(line) as Record<string, unknown>);
  };
  return { log: createLog({ level, clock, thread, write }), lines, clock };
}

test('both threads write the same line', () => {
  const [app, watcher] = [open('app'), open('watcher')];
  for (const { log } of [app, watcher]) log.warn({ pauseMs: 9, reason: 'why' }, 'snapshot refused');
  expect(app.lines).toEqual(watcher.lines);
  expect(app.lines[0]).toMatchObject({
    level: 40,
    time: 1000,
    name: 'wsguard',
    pauseMs: 9,
    msg: 'snapshot refused',
  });
});

test('an error becomes its type, message and code', () => {
  const { log, lines } = open('app');
  log.error({ error: Object.assign(new TypeError('bad'), { code: 'EBAD' }) }, 'part failed');
  expect(lines[0]?.error).toEqual({ type: 'TypeError', message: 'bad', code: 'EBAD' });
});

test('lines below the level are not written, and silent writes none', () => {
  const { log, lines } = open('app', 'warn');
  log.debug({}, 'a');
  log.info({}, 'b');
  log.warn({}, 'c');
  expect(lines.map(({ msg }) => msg)).toEqual(['c']);
  const silent = open('watcher', 'silent');
  silent.log.error({}, 'd');
  expect(silent.lines).toEqual([]);
});

test('repeats within ten minutes are counted, and the next line has the count', () => {
  const { log, lines, clock } = open('app');
  for (let i = 0; i < 5; i += 1) log.warn({ code: 'WSGUARD_X', tries: i }, 'a delivery failed');
  log.warn({ code: 'WSGUARD_Y' }, 'a delivery failed');
  expect(lines).toHaveLength(2);
  clock.advance(10 * 60_000);
  log.warn({ code: 'WSGUARD_X', tries: 9 }, 'a delivery failed');
  expect(lines[2]).toMatchObject({ tries: 9, repeated: 4 });
});

test('a line that cannot be serialized or written is dropped without an error', () => {
  const loop: Record<string, unknown> = {};
  loop.self = loop;
  const { log, lines } = open('app');
  expect(() => log.info({ loop, big: 10n }, 'x')).not.toThrow();
  expect(lines).toEqual([]);
  const throwing = createLog({
    level: 'info',
    clock: createFakeClock(),
    thread: 'watcher',
    write: () => {
      throw new Error('EAGAIN');
    },
  });
  expect(() => throwing.info({}, 'x')).not.toThrow();
});

test('long texts are cut, and bigints are texts', () => {
  const { log, lines } = open('app');
  log.info({ text: 'x'.repeat(5000), big: 10n }, 'a');
  expect(lines[0]).toMatchObject({ text: `${'x'.repeat(2000)}…`, big: '10' });
});

test('remembers at most 200 lines', () => {
  const { log, lines } = open('app');
  for (let i = 0; i <= 200; i += 1) log.info({ id: `${i}` }, 'a');
  log.info({ id: '0' }, 'a');
  log.info({ id: '200' }, 'a');
  expect(lines.map(({ id }) => id).slice(-2)).toEqual(['200', '0']);
});
