import type { FromWatcher, Link } from '../../../src/channel.ts';
import type { DetectionResult } from '../../../src/detection.ts';
import { createPingScheduler } from '../../../src/watcher/ping-scheduler.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

function start(timeScale = 1) {
  const clock = createFakeClock();
  const sent: string[] = [];
  const link = {
    send: (name: string, value: unknown) => void sent.push(`${name} ${String(value)}`),
    request: (name: string) => {
      sent.push(name);
      return Promise.resolve(null);
    },
  } as unknown as Link<FromWatcher>;
  const scheduler = createPingScheduler(link, clock, timeScale);
  const update = (suspicion: boolean, confirming: boolean): void =>
    scheduler.update({ suspicion, confirming } as DetectionResult);
  return { clock, sent, update };
}

test('each change of the suspicion is sent once, its end after a quarter of an hour without it', () => {
  const { clock, sent, update } = start();
  for (const suspicion of [false, true, true, false, true, false]) update(suspicion, false);
  expect(sent).toEqual(['suspicion true']);
  clock.advance(15 * 60_000 - 1);
  update(false, false);
  expect(sent).toEqual(['suspicion true']);
  clock.advance(1);
  for (const suspicion of [false, false]) update(suspicion, false);
  expect(sent).toEqual(['suspicion true', 'suspicion false']);
});

test('all connections are pinged at once while a finding waits for confirmation, then once a minute', () => {
  const { clock, sent, update } = start();
  update(true, true);
  expect(sent).toEqual(['suspicion true', 'pingAll']);
  for (let second = 15; second < 60; second += 15) {
    clock.advance(15_000);
    update(true, true);
  }
  expect(sent).toHaveLength(2);
  clock.advance(15_000);
  update(true, true);
  expect(sent).toEqual(['suspicion true', 'pingAll', 'pingAll']);
});

test('the time scale shortens the minute between two pings of all connections', () => {
  const { clock, sent, update } = start(60);
  update(false, true);
  clock.advance(999);
  update(false, true);
  expect(sent).toEqual(['pingAll']);
  clock.advance(1);
  update(false, true);
  expect(sent).toEqual(['pingAll', 'pingAll']);
});
