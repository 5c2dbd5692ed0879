import { Alerts } from '../../../src/alert/alerts.ts';
import { fingerprintOf, isMuted } from '../../../src/alert/fingerprint.ts';
import type { Alert, Because, Finding } from '../../../src/types/index.ts';
import { IDENTITY, run, createTestDetection, type Shape } from '../../support/run.ts';

const zombies = (minute: number): Shape => ({ connections: 500 + 8 * minute, unanswering: 8 * minute });
const until = (minute: number) => (now: number) => zombies(Math.min(now, minute));

test('opened once, updated when the number doubled, closed with a reason', () => {
  const { transitions } = run(150, until(60));
  expect(transitions.map(({ event }) => event)).toEqual(['opened', 'updated', 'closed']);
  expect(new Set(transitions.map(({ id }) => id)).size).toBe(1);
  expect(new Set(transitions.map(({ fingerprint }) => fingerprint)).size).toBe(1);
  expect(transitions.map(({ n }) => n)).toEqual([0, 1, 2]);
  expect(transitions.at(-1)).toMatchObject({ because: 'no growth for 30 min' });
  // Each transition has the latest measurement, not the one at the opening of the alert.
  for (const { title, evidence } of transitions) expect(title).toMatch(`${evidence[0]?.value} of `);
});

test('no flapping: a leak that pauses for less than a window stays one alert', () => {
  const stepwise = (minute: number): Shape =>
    zombies(minute % 30 < 20 ? minute : minute - (minute % 30) + 20);
  const { transitions } = run(200, stepwise);
  expect(transitions.filter(({ event }) => event === 'opened')).toHaveLength(1);
  expect(transitions.filter(({ event }) => event === 'closed')).toHaveLength(0);
});

/** Alerts without detectors: each minute has the findings that a test gives it. */
const createAlerts = (): Alerts => {
  let ids = 0;
  return new Alerts({ identity: IDENTITY, timeScale: 1, mute: [], newId: () => `a${(ids += 1)}` });
};
const at = (minute: number) => ({
  nowMs: minute * 60_000,
  wallMs: minute * 60_000,
  uptimeMs: minute * 60_000,
  timeToLimit: null,
  timeToLimitScaledMs: null,
});
const growing = (subject: string, value: number, more: Partial<Finding> = {}): Finding => ({
  kind: 'registry-growth',
  family: 'leak',
  severity: 'warning',
  subject,
  title: `${value} entries`,
  evidence: [{ name: 'wsguard_registry_entries', value, unit: 'entries' }],
  against: [],
  ...more,
});
const registries = (count: number): Finding[] =>
  Array.from({ length: count }, (_, n) => growing(`registry ${n}`, 100));

test('a leak that follows the traffic: it grows again after a pause, and its second alert outlasts the next pause', () => {
  const alerts = createAlerts();
  const events: string[] = [];
  // Four hours of growth, then two hours without, again and again.
  for (let minute = 0; minute < 36 * 60; minute += 1) {
    const isGrowing = minute % 360 < 240;
    const transitions = alerts.update({
      ...at(minute),
      findings: isGrowing ? [growing('hub.rooms', 100)] : [],
    });
    events.push(...transitions.map(({ event, because }) => `${event} ${because ?? ''}`.trim()));
  }
  expect(events).toEqual(['opened', 'closed no growth for 30 min', 'opened']);
  // The pause from 3:59 to 6:01 was 2 h 2 min long: the growth must be absent for twice as long, since 33:59.
  const closedAt = (minute: number) =>
    alerts.update({ ...at(minute), findings: [] }).map(({ because }) => because);
  expect(closedAt(38 * 60 + 2)).toEqual([]);
  expect(closedAt(38 * 60 + 3)).toEqual(['no growth for 4 h 4 min']);
});

test('a kind of which another finding has joined is not ruled out', () => {
  const alerts = createAlerts();
  const zombies: Partial<Finding> = {
    kind: 'zombie-connections',
    against: [
      { kind: 'registry-growth', because: 'no growth of profiles' },
      { kind: 'slow-consumer', because: 'no pending writes' },
    ],
  };
  const lines = [0, 1, 2, 3].flatMap((minute) =>
    alerts.update({
      ...at(minute),
      findings: [
        growing('all connections', 100, zombies),
        ...(minute === 0 ? [] : [growing('sessions', 50)]),
      ],
    }),
  );
  const kinds = (rows: readonly Because[] | undefined) => rows?.map(({ kind }) => kind);
  expect(kinds(lines[0]?.against)).toEqual(['registry-growth', 'slow-consumer']);
  expect(kinds(lines.at(-1)?.also)).toEqual(['registry-growth']);
  expect(kinds(lines.at(-1)?.against)).toEqual(['slow-consumer']);
});

test('an alert that waits for its leak to come back explains no leak that begins meanwhile', () => {
  const alerts = createAlerts();
  // Its second alert stays open for 24 h: the pause was 14 h long.
  const findings = (minute: number): Finding[] => {
    const isGrowing = minute < 60 || (minute >= 15 * 60 && minute < 16 * 60);
    const buffers: Finding = { ...growing('external', 5e8), kind: 'external-buffers' };
    return [...(isGrowing ? [growing('hub.rooms', 100)] : []), ...(minute >= 24 * 60 ? [buffers] : [])];
  };
  const events: string[] = [];
  for (let minute = 0; minute < 25 * 60; minute += 1)
    for (const { event, kind } of alerts.update({ ...at(minute), findings: findings(minute) }))
      events.push(`${event} ${kind}`);
  expect(events).toEqual([
    'opened registry-growth',
    'closed registry-growth',
    'opened registry-growth',
    'opened external-buffers',
  ]);
  expect(alerts.open().map(({ kind }) => kind)).toEqual(['registry-growth', 'external-buffers']);
});

test('growth that returns after more than a day is a new leak: its alert closes after 30 min', () => {
  const alerts = createAlerts();
  const grow = (minute: number) => alerts.update({ ...at(minute), findings: [growing('hub.rooms', 100)] });
  grow(0);
  grow(1);
  alerts.update({ ...at(31), findings: [] });
  grow(26 * 60);
  grow(26 * 60 + 1);
  expect(alerts.update({ ...at(26 * 60 + 31), findings: [] })).toMatchObject([
    { because: 'no growth for 30 min' },
  ]);
});

test('an alert whose leak a census shows under another name stays open', () => {
  const alerts = createAlerts();
  alerts.raise(growing('hub.sessions', 400), at(0));
  const eventsAt = (minute: number, confirmed: ReadonlySet<string>): string[] =>
    alerts.update({ ...at(minute), findings: [], confirmed }).map(({ event }) => event);
  expect(eventsAt(20, new Set(['a1']))).toEqual([]);
  expect(eventsAt(40, new Set())).toEqual([]);
  expect(eventsAt(50, new Set(['b']))).toEqual(['closed']);
});

test('a finding that joins each minute and a number that doubles each minute are six lines an hour', () => {
  const alerts = createAlerts();
  const minutes: number[] = [];
  let last: Alert | undefined;
  for (let minute = 0; minute <= 180; minute += 1) {
    const first = growing('clients', 2 ** minute, { kind: 'heap-growth' });
    // The kind has an alert of its own only where no leak is open.
    const others = registries(minute).map((finding) => ({ ...finding, kind: 'divergence' }) as const);
    for (const alert of alerts.update({ ...at(minute), findings: [first, ...others] })) {
      minutes.push(minute);
      last = alert;
    }
  }
  expect(alerts.open()).toHaveLength(1);
  for (const minute of minutes)
    expect(minutes.filter((each) => each > minute - 60 && each <= minute).length).toBeLessThanOrEqual(6);
  // The next line has everything that waited.
  expect(minutes.length).toBeGreaterThan(12);
  expect(last?.title).toBe(`${2 ** minutes.at(-1)!} entries`);
  expect(last?.alsoMore).toBeGreaterThan(50);
});

test('`also` has 20 findings, and `alsoMore` counts the others', () => {
  const alerts = createAlerts();
  const findings = [growing('clients', 10), ...registries(30)];
  alerts.update({ ...at(0), findings });
  alerts.update({ ...at(1), findings });
  expect(alerts.open()).toMatchObject([{ subject: 'clients', alsoMore: 10 }]);
  expect(alerts.open()[0]?.also).toHaveLength(20);
});

test('a finding that joined gets a line of the alert once a census has its line of code', () => {
  const alerts = createAlerts();
  const findings = [growing('clients', 10), growing('sessions', 5)];
  const linesAt = (minute: number, line: number | null) =>
    alerts.update({
      ...at(minute),
      findings,
      locationOf: ({ subject }) =>
        line === null || subject !== 'sessions'
          ? null
          : { file: '/srv/app/auth/login.js', line, function: 'login', package: null },
    });
  const alsoAt = (minute: number, line: number | null) => linesAt(minute, line).at(-1)?.also;
  linesAt(0, null);
  expect(alsoAt(1, null)).toEqual([{ kind: 'registry-growth', because: '5 entries' }]);
  expect(alsoAt(2, null)).toBeUndefined();
  const located = [{ kind: 'registry-growth', because: '5 entries, added at auth/login.js:7' }];
  expect(alsoAt(3, 7)).toEqual(located);
  // It stays when a later census does not have it, and is told once.
  expect(alsoAt(4, null)).toBeUndefined();
  expect(alerts.open()[0]?.also).toEqual(located);
});

test('a higher severity, a more specific kind and a condition do not wait for the next hour', () => {
  const alerts = createAlerts();
  const first = growing('clients', 1, { kind: 'heap-growth' });
  const update = (minute: number, findings: readonly Finding[]) =>
    alerts.update({ ...at(minute), findings: [first, ...findings] });
  for (let minute = 0; minute < 20; minute += 1)
    update(minute, registries(0).concat(growing('clients', 2 ** minute, { kind: 'heap-growth' })));
  const waiting = growing('clients', 2 ** 40, { kind: 'heap-growth' });
  expect(update(20, [waiting])).toEqual([]);
  const exhaustion = growing('heap', 1, { kind: 'exhaustion', family: 'condition' });
  update(21, [waiting, exhaustion]);
  expect(update(22, [waiting, exhaustion])).toMatchObject([
    { event: 'updated', also: [{ kind: 'exhaustion' }] },
  ]);
  expect(update(23, [waiting, exhaustion, { ...waiting, severity: 'critical' }])).toMatchObject([
    { event: 'updated', severity: 'critical' },
  ]);
});

test('a number that falls and comes back is no news', () => {
  const alerts = createAlerts();
  const eventsAt = (minute: number, value: number): string[] =>
    alerts.update({ ...at(minute), findings: [growing('clients', value)] }).map(({ event }) => event);
  eventsAt(0, 100);
  expect(eventsAt(1, 100)).toEqual(['opened']);
  expect(eventsAt(2, 200)).toEqual(['updated']);
  eventsAt(3, 10);
  // Another line, with the small number.
  alerts.amend('a1', { culpritBecause: 'x' }, 0);
  expect(eventsAt(4, 200)).toEqual([]);
  expect(eventsAt(5, 400)).toEqual(['updated']);
});

test('an event that happens again and again keeps its alert open', () => {
  const alerts = createAlerts();
  const blocked = growing('', 6_000, { kind: 'blocked-loop', family: 'condition' });
  const events: string[] = [];
  for (let minute = 0; minute < 30; minute += 1) {
    const transitions = [
      ...alerts.raise(blocked, at(minute)),
      ...alerts.endEvent('blocked-loop', 'the event loop runs again', at(minute)),
      ...alerts.update({ ...at(minute), findings: [] }),
    ];
    events.push(...transitions.map(({ event }) => event));
  }
  expect(events).toEqual(['opened', 'closed', 'opened', 'closed', 'opened']);
  expect(alerts.update({ ...at(40), findings: [] })).toMatchObject([
    { event: 'closed', because: 'it has not happened again for 10 min' },
  ]);
});

test('the alert of a condition ends when the condition has not held for a while', () => {
  const alerts = createAlerts();
  const near = growing('', 900, { kind: 'connection-limit', family: 'condition' });
  for (const minute of [0, 1]) alerts.update({ ...at(minute), findings: [near] });
  expect(alerts.update({ ...at(20), findings: [] })).toMatchObject([
    { event: 'closed', because: 'the condition has not held for 10 min' },
  ]);
});

test('the fingerprint depends on service, family and subject only', () => {
  const finding = { family: 'leak', subject: 'clients' } as const;
  const print = fingerprintOf('chat', finding);
  expect(print).toMatch(/^[0-9a-f]{16}$/);
  expect(fingerprintOf('chat', finding)).toBe(print);
  expect(fingerprintOf('chat2', finding)).not.toBe(print);
  expect(fingerprintOf('chat', { ...finding, family: 'condition' })).not.toBe(print);
  expect(fingerprintOf('cha', { ...finding, subject: 'tclients' })).not.toBe(print);
  const [first] = run(20, zombies).transitions;
  const other = run(20, zombies, { detection: createTestDetection() }).transitions[0];
  expect(first?.fingerprint).toBe(other?.fingerprint);
});

test('muted by fingerprint until a time', () => {
  const [alert] = run(20, zombies).transitions;
  const fingerprint = alert?.fingerprint ?? '';
  const mute = [`${fingerprint}:2026-11-23T00:00:00Z`];
  expect(isMuted(mute, fingerprint, Date.parse('2026-11-22T23:59:59Z'))).toBe(true);
  expect(isMuted(mute, fingerprint, Date.parse('2026-11-23T00:00:00Z'))).toBe(false);
  expect(isMuted(mute, 'another', 0)).toBe(false);
  expect(isMuted([`${fingerprint}:nonsense`], fingerprint, 0)).toBe(false);
  expect(isMuted([fingerprint], fingerprint, Date.now())).toBe(true);
  const muted = run(20, zombies, { detection: createTestDetection({ mute: [fingerprint] }) });
  expect(muted.transitions).toMatchObject([{ event: 'opened', muted: true }]);
});

test('the effects of a leak join its alert', () => {
  const server = (minute: number): Shape => ({
    more: {
      emitters: [
        { emitter: 'bus', event: '*', listeners: 500 + 10 * minute, eventNames: 1, source: 'found' },
      ],
    },
    ...(minute > 0 && minute % 4 === 0 ? { floorMb: 40 + 4 * minute } : {}),
    uncollected: Math.round(10 * minute),
  });
  const { opened, transitions } = run(90, server);
  expect(opened).toEqual(['listener-accumulation']);
  expect(transitions.at(-1)?.also.map(({ kind }) => kind)).toEqual(
    expect.arrayContaining(['retained-after-close', 'heap-growth']),
  );
  expect(transitions[0]?.against.map(({ kind }) => kind)).toContain('zombie-connections');
});

test('a more specific kind within a window changes the kind of the alert; id and fingerprint stay', () => {
  const late = (minute: number): Shape => ({
    ...(minute > 0 && minute % 4 === 0 ? { floorMb: 40 + 6 * minute } : {}),
    unanswering: minute < 45 ? 0 : 12 * (minute - 45),
    connections: 700,
  });
  const { transitions } = run(80, late);
  const kinds = transitions.filter(({ event }) => event !== 'closed').map(({ kind }) => kind);
  expect(kinds[0]).toBe('heap-growth');
  expect(kinds.at(-1)).toBe('zombie-connections');
  expect(new Set(transitions.map(({ fingerprint }) => fingerprint)).size).toBe(1);
  expect(transitions.at(-1)?.also.map(({ kind }) => kind)).toContain('heap-growth');
});

test('a second counted cause hours later opens a second alert', () => {
  const two = (minute: number): Shape => ({
    ...zombies(minute),
    // Steady: while connections rise in a straight line, they explain a count as well as time does.
    connections: 800,
    more: {
      registries: [{ name: 'jobs', entries: 600 + (minute < 150 ? 0 : 20 * (minute - 150)), source: 'app' }],
    },
  });
  expect(run(200, two).opened).toEqual(['zombie-connections', 'registry-growth']);
});

test('a leak is critical when the limit is less than four hours away', () => {
  const filling = (minute: number): Shape => ({
    ...zombies(minute),
    ...(minute > 0 && minute % 3 === 0 ? { floorMb: 60 + 1.5 * minute } : {}),
  });
  // A limit is foretold from growth that has lasted at least half the time to it.
  const { transitions } = run(110, filling);
  expect(transitions.some(({ severity }) => severity === 'critical')).toBe(true);
  expect(transitions.at(-1)?.timeToLimit).toMatchObject({ limit: 'heap', ms: expect.any(Number) });
  expect(run(60, zombies).transitions.every(({ severity }) => severity === 'warning')).toBe(true);
});

test('a root cause updates the alert; an unknown id changes nothing', () => {
  const detection = createTestDetection();
  const [alert] = run(20, zombies, { detection }).transitions;
  const culprit = { text: 'clients', name: 'clients', file: 's.js', line: 4, function: 'on', package: null };
  const updates = detection.updateAlert(alert?.id ?? '', { culprit: { ...culprit, confidence: 0.9 } }, 1);
  expect(updates).toMatchObject([{ event: 'updated', id: alert?.id, n: 1, culprit: { line: 4 } }]);
  expect(detection.updateAlert('unknown', {}, 1)).toEqual([]);
  expect(detection.openAlerts()).toHaveLength(1);
});

test('a root cause without a line does not replace one with a line', () => {
  const detection = createTestDetection();
  const [alert] = run(20, zombies, { detection }).transitions;
  const id = alert?.id ?? '';
  const located = { text: 'clients', name: 'clients', file: 's.js', line: 4, function: 'on', package: null };
  const unlocated = {
    ...located,
    name: 'system / JSArrayBufferData',
    file: null,
    line: null,
    confidence: 0.4,
  };
  expect(detection.updateAlert(id, { culprit: unlocated }, 1)).toMatchObject([{ culprit: unlocated }]);
  detection.updateAlert(id, { culprit: { ...located, confidence: 0.9 } }, 1);
  expect(detection.updateAlert(id, { culprit: unlocated }, 1)).toMatchObject([{ culprit: { line: 4 } }]);
});

test('after a restart an open alert continues when the leak shows again', () => {
  const [before] = run(20, zombies).transitions;
  const detection = createTestDetection();
  detection.restore(before === undefined ? [] : [before]);
  const { transitions, opened } = run(30, zombies, { detection });
  expect(opened).toEqual([]);
  expect(transitions[0]).toMatchObject({
    event: 'updated',
    id: before?.id,
    fingerprint: before?.fingerprint,
  });
});

test('after a restart an open alert closes with the reason when the leak does not show again', () => {
  const [before] = run(20, zombies).transitions;
  const detection = createTestDetection();
  detection.restore(before === undefined ? [] : [before]);
  const { transitions } = run(130, () => ({}), { detection });
  expect(transitions).toMatchObject([
    { event: 'closed', id: before?.id, because: 'not detected again since the restart' },
  ]);
});

test('closeAlerts closes all alerts, for a process that ends', () => {
  const detection = createTestDetection();
  run(20, zombies, { detection });
  expect(detection.closeAlerts('the process ends', 5)).toMatchObject([
    { event: 'closed', because: 'the process ends' },
  ]);
  expect(detection.openAlerts()).toEqual([]);
});

test('time scale: a second counts as a minute, the time to limit stays real', () => {
  const server = (minute: number): Shape => ({
    ...zombies(minute),
    ...(minute > 0 && minute % 3 === 0 ? { floorMb: 60 + 1.5 * minute } : {}),
  });
  const real = run(40, server);
  const detection = createTestDetection({ timeScale: 60 });
  const scaled = run(40 / 60, (minute) => server(Math.round(minute * 60 * 4) / 4), {
    detection,
    everyMs: 250,
  });
  expect(scaled.opened).toEqual(real.opened);
  const ms = scaled.last.timeToLimit?.ms ?? 0;
  expect(ms * 60).toBeCloseTo(real.last.timeToLimit?.ms ?? -1, -4);
  expect(scaled.transitions[0]).toMatchObject({ timeScale: 60 });
});

test('`also` has rows of exactly `kind` and `because`, and no second row for a finding of an earlier process', () => {
  const server = (minute: number): Shape => ({
    ...zombies(minute),
    connections: 800,
    more: { registries: [{ name: 'clients', entries: 600 + 12 * minute, source: 'found' }] },
  });
  const before = run(30, server).transitions.at(-1);
  expect(before?.also.map(({ kind }) => kind)).toEqual(['registry-growth']);
  const detection = createTestDetection();
  const also = (before?.also ?? []).map((row) => ({ ...row, subject: 'an old line had more fields' }));
  detection.restore(before === undefined ? [] : [{ ...before, also }]);
  const last = run(60, server, { detection }).transitions.at(-1);
  expect(last?.id).toBe(before?.id);
  expect(last?.also).toEqual([{ kind: 'registry-growth', because: expect.any(String) }]);
});

test('a raised event opens at once, and is confirmed when it is raised again', () => {
  const detection = createTestDetection();
  run(5, () => ({}), { detection });
  expect(detection.checkHeartbeat(6_000, 1)).toMatchObject([{ event: 'opened', kind: 'blocked-loop' }]);
  expect(detection.checkHeartbeat(7_000, 2)).toEqual([]);
  expect(detection.checkHeartbeat(20_000, 3)).toMatchObject([{ event: 'updated', n: 1 }]);
  expect(detection.checkHeartbeat(0, 4)).toMatchObject([{ event: 'closed' }]);
});

test('the number of open alerts is bounded', () => {
  const detection = createTestDetection();
  const [alert] = run(20, zombies).transitions;
  if (alert === undefined) throw new Error('the zombies open an alert');
  detection.restore(Array.from({ length: 60 }, (_, i) => ({ ...alert, id: `id${i}`, fingerprint: `f${i}` })));
  expect(detection.openAlerts()).toHaveLength(50);
  detection.restore([{ ...alert, event: 'closed', id: 'closed' }]);
  expect(detection.openAlerts().some(({ id }) => id === 'closed')).toBe(false);
  expect(run(20, zombies, { detection }).opened).toEqual([]);
});
