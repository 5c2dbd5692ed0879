/** Containers that grew between censuses: leaks, suspects and expected growth. */
import { evaluateContainers } from '../../../src/detect/container-growth.ts';
import type { AuditedCensus } from '../../../src/detect/container-growth.ts';
import type { ContainerRow } from '../../../src/types/index.ts';

const MINUTE_MS = 60_000;
const STEADY_MEMORY = { memoryGrows: false, buffersPerHour: null };
const TIMES_MIN = [20, 60, 80, 100, 120];

const rowOf = (more: Partial<ContainerRow> = {}): ContainerRow => ({
  key: 'server.js clients Map',
  type: 'Map',
  owner: 'application',
  name: 'clients',
  path: ['clients'],
  containers: 1,
  entries: 0,
  largest: 0,
  bytes: 0,
  sampled: 20,
  closed: 0,
  open: 0,
  location: { file: 'server.js', line: 7, function: 'onConnection', package: null },
  expected: null,
  removedAfterMs: null,
  removal: 'code',
  ...more,
});

interface Series {
  readonly counts: readonly number[];
  readonly row?: Partial<ContainerRow>;
}

interface Traffic {
  readonly closedPerMin?: number;
  /** Instead of an even pace. */
  readonly closedTotal?: readonly number[];
  readonly timesMin?: readonly number[];
  readonly workedOff?: AuditedCensus['workedOff'];
  readonly open?: readonly number[];
  readonly active?: readonly number[];
  readonly closedInHeap?: number;
}

function censusesOf(series: readonly Series[], traffic: Traffic = {}): AuditedCensus[] {
  const { closedPerMin = 5, open, active, closedInHeap = 100, closedTotal } = traffic;
  const { timesMin = TIMES_MIN, workedOff = [] } = traffic;
  const length = series[0]?.counts.length ?? 0;
  return timesMin.slice(0, length).map((minutes, index) => ({
    atMs: minutes * MINUTE_MS,
    closedTotal: closedTotal?.[index] ?? minutes * closedPerMin,
    active: active?.[index] ?? 0,
    workedOff,
    census: {
      schema: 'wsguard.census/1',
      nodes: 100_000,
      bytes: 1e7,
      connections: { open: open?.[index] ?? 10, closed: closedInHeap },
      minEntries: 10,
      rows: series.map(({ counts, row }, number) => {
        const entries = counts[index] ?? 0;
        const name = `container${number}`;
        return rowOf({ key: name, name, bytes: entries * 1000, entries, largest: entries, ...row });
      }),
    },
  }));
}

const answersOf = (series: readonly Series[], traffic?: Traffic, memoryGrows = false): string[] =>
  evaluateContainers(censusesOf(series, traffic), { ...STEADY_MEMORY, memoryGrows }).map(
    ({ row, answer, because }) => `${row.name} ${answer}: ${because}`,
  );

/** One entry for each closed connection, at 5 a minute. */
const LEAK = [100, 300, 400, 500, 600];

test('entries of closed connections that no code removes are a leak after three censuses', () => {
  const row = { closed: 20, removal: 'none' } as const;
  expect(answersOf([{ counts: LEAK.slice(0, 2), row }])).toEqual([
    'container0 inconclusive: it grew between 2 censuses, 3 are needed',
  ]);
  expect(answersOf([{ counts: LEAK.slice(0, 3), row }])).toEqual([
    'container0 found: 20 of 20 sampled entries lead to closed connections',
  ]);
});

test('where code removes entries, those of closed connections are a leak after four censuses', () => {
  const row = { closed: 20 } as const;
  expect(answersOf([{ counts: LEAK.slice(0, 3), row }])[0]).toContain('inconclusive');
  expect(answersOf([{ counts: LEAK.slice(0, 4), row }])[0]).toContain('found');
});

test('one entry for each closed connection is a leak when no code removes entries', () => {
  expect(answersOf([{ counts: LEAK.slice(0, 3), row: { removal: 'none' } }])).toEqual([
    'container0 found: no code in its file removes entries',
  ]);
});

test('a container that may be a cache is a suspect until five censuses show that it does not slow down', () => {
  const late = LEAK.map((entries) => entries - 90);
  expect(answersOf([{ counts: late.slice(0, 4) }])).toEqual([
    'container0 inconclusive: it may be a cache that is filling',
  ]);
  expect(answersOf([{ counts: late }])).toEqual([
    'container0 found: it has grown for 100 min without slowing down (5 censuses)',
  ]);
});

test('a container that has another place while connections have it in a variable is one container', () => {
  const row = { type: 'Array', removal: 'none' } as const;
  const places = [
    { counts: [80, 260, 150, 420, 90], row: { ...row, name: 'room.events' } },
    { counts: [20, 40, 250, 80, 510], row: { ...row, name: 'rooms.get(…).events' } },
  ];
  expect(answersOf(places)).toEqual(['rooms.get(…).events found: no code in its file removes entries']);
  const [first] = evaluateContainers(censusesOf(places), STEADY_MEMORY);
  expect(first).toMatchObject({ gained: 500, row: { entries: 600, containers: 2 } });
  const others = places.map((each, index) => ({
    ...each,
    row: { ...each.row, name: `room.events${index}` },
  }));
  expect(answersOf(others).filter((answer) => answer.includes('found'))).toEqual([]);
});

test('a ramp of connections explains one entry for each, also where the first census counted fewer', () => {
  const active = [76, 172, 268, 364, 460];
  expect(answersOf([{ counts: [70, 168, 265, 363, 459] }], { active })).toEqual([]);
  expect(answersOf([{ counts: [46, 150, 262, 361, 458] }], { active })).toEqual([]);
  const leak = [70, 268, 465, 663, 859];
  expect(answersOf([{ counts: leak, row: { removal: 'none' } }], { active })[0]).toContain('found');
});

test('growth at one pace since the process started needs one census fewer, and as much time', () => {
  expect(answersOf([{ counts: LEAK.slice(0, 3) }])[0]).toContain('inconclusive');
  expect(answersOf([{ counts: LEAK.slice(0, 4) }])).toEqual([
    'container0 found: it has grown for 100 min, since the process started, without slowing down (4 censuses)',
  ]);
  const early = [300, 500, 600, 700];
  expect(answersOf([{ counts: early }])[0]).toContain('inconclusive');
  const rare = { closedPerMin: 0 };
  expect(answersOf([{ counts: LEAK.slice(0, 4) }], rare)[0]).toContain('found');
  expect(answersOf([{ counts: early }], rare)[0]).toContain('inconclusive');
});

test('a suspect is a leak as soon as memory grows too', () => {
  expect(answersOf([{ counts: LEAK.slice(0, 3) }], {}, true)).toEqual([
    'container0 found: the post-GC heap grows with it',
  ]);
});

test.each([
  ['a cache that has filled', [100, 300, 400, 400, 400], []],
  [
    'a cache that fills ever more slowly',
    [100, 400, 450, 465, 470],
    ['container0 plateau: its growth slows down'],
  ],
  ['a step', [100, 400, 400, 400, 400], []],
  ['a level that varies', [100, 140, 90, 150, 110], ['container0 plateau: its growth slows down']],
])('%s is no leak', (_, counts, expected) => {
  const answers = answersOf([{ counts }]);
  expect(answers.filter((answer) => answer.includes('found'))).toEqual([]);
  expect(answers.length).toBeLessThanOrEqual(Math.max(1, expected.length));
});

test('entries of open connections are no growth, however steep the ramp', () => {
  const open = [100, 300, 400, 500, 600];
  expect(answersOf([{ counts: open }], { open })).toEqual([]);
});

test('polling sessions count as open connections: they have no socket between two requests', () => {
  const active = [100, 300, 400, 500, 600];
  expect(answersOf([{ counts: active, row: { closed: 20 } }], { active })).toEqual([]);
});

test('a leak on a ramp of connections is what the connections do not explain', () => {
  const [growth] = evaluateContainers(
    censusesOf([{ counts: [100, 500, 700, 900, 1100] }], { open: [100, 300, 400, 500, 600] }),
    STEADY_MEMORY,
  );
  expect(growth).toMatchObject({ answer: 'found', gained: 500, perClosed: 1 });
});

test('containers of entries belong to the container that gains the entries', () => {
  const inner = { containers: 600 } as const;
  const censuses = censusesOf([{ counts: LEAK, row: { closed: 20 } }, { counts: LEAK.map((n) => n * 3) }]);
  const grown = censuses.map((each, index) => ({
    ...each,
    census: {
      ...each.census,
      rows: each.census.rows.map((row, number) =>
        number === 0 ? row : { ...row, ...inner, containers: LEAK[index] ?? 0 },
      ),
    },
  }));
  const names = evaluateContainers(grown, STEADY_MEMORY).map(({ row }) => row.name);
  expect(names).toEqual(['container0']);
});

test('lists of a number of users that has become constant grow by themselves', () => {
  const listeners = { type: 'Listeners', removal: 'none', closed: 20 } as const;
  const censuses = censusesOf([{ counts: [40, 450, 550, 650], row: listeners }]);
  const users = [20, 150, 150, 150];
  const grown = censuses.map((each, index) => ({
    ...each,
    census: {
      ...each.census,
      rows: each.census.rows.map((row) => ({ ...row, containers: users[index] ?? 0 })),
    },
  }));
  const answers = (count: number): string[] =>
    evaluateContainers(grown.slice(0, count), STEADY_MEMORY).map(({ answer }) => answer);
  expect(answers(3)).toEqual([]);
  expect(answers(4)).toEqual(['found']);
});

test('a session that a timer removes is late cleanup until twice the delay has passed', () => {
  const timers = (delayMin: number): Series => ({
    counts: LEAK,
    row: { type: 'Timers', removedAfterMs: delayMin * MINUTE_MS, closed: 20 },
  });
  const sessions = { counts: LEAK, row: { closed: 20 } };
  expect(answersOf([sessions, timers(90)])).toEqual([
    'container0 inconclusive: a timer of 90 min may remove its entries',
    'container1 inconclusive: a timer of 90 min may remove its entries',
  ]);
  expect(answersOf([sessions, timers(1)])[0]).toContain('container0 found');
});

test('a container that a timer sweeps is a suspect, however long it grows', () => {
  expect(answersOf([{ counts: LEAK, row: { removal: 'timer' } }])).toEqual([
    'container0 inconclusive: a function that a timer runs may remove its entries',
  ]);
});

test('timers that repeat are a leak; the container that grows in step with them is the cause', () => {
  const answers = answersOf(
    [
      { counts: LEAK.slice(0, 3), row: { type: 'Timers', removal: null, owner: 'node' } },
      { counts: LEAK.slice(0, 3) },
    ],
    { closedInHeap: 0 },
  );
  expect(answers[0]).toBe(
    'container1 found: container0 grows in step with it: its timers repeat and are not cleared',
  );
  expect(answers[1]).toContain('container0 found');
});

test('small entries are a suspect until they matter', () => {
  expect(answersOf([{ counts: LEAK, row: { bytes: 1000, removal: 'none' } }])).toEqual([
    'container0 inconclusive: its entries are small: they fill 100 MiB in more than four days',
  ]);
});

test('growth of Node itself and of containers with a limit is expected', () => {
  const [limit, node, unknown] = answersOf([
    { counts: LEAK, row: { expected: 'an LRU cache has a limit' } },
    { counts: LEAK, row: { owner: 'node' } },
    { counts: LEAK, row: { location: null } },
  ]);
  expect(limit).toBe('container0 expected: an LRU cache has a limit');
  expect(node).toContain('expected: no code of the application');
  expect(unknown).toContain('expected: no code of the application');
});

test('a burst in the last interval is uneven growth', () => {
  expect(answersOf([{ counts: [100, 220, 280, 900], row: { closed: 20, removal: 'none' } }])).toEqual([
    'container0 inconclusive: its growth is uneven',
  ]);
});

test('one census, or none, says nothing', () => {
  expect(answersOf([{ counts: [100] }])).toEqual([]);
  expect(evaluateContainers([], { ...STEADY_MEMORY, memoryGrows: true })).toEqual([]);
});

test('a Map by user that fills with the 400 users of a company is no leak, though no code removes entries', () => {
  // The share of 400 users who have come at least once.
  const users = TIMES_MIN.map((minutes) => Math.round(400 * (1 - Math.exp((-5 * minutes) / 400))));
  for (const censuses of [3, 4, 5])
    expect(answersOf([{ counts: users.slice(0, censuses), row: { removal: 'none' } }])).toEqual([
      expect.stringMatching(/ inconclusive: | plateau: /),
    ]);
});

describe('closed connections that are still in the heap', () => {
  const connections = { type: 'Connections', name: 'closed connections', closed: 20, removal: null } as const;

  test('are a leak after four censuses, whatever retains them', () => {
    expect(answersOf([{ counts: LEAK.slice(0, 3), row: connections }])).toEqual([
      'closed connections inconclusive: something may release them later',
    ]);
    expect(answersOf([{ counts: LEAK.slice(0, 4), row: connections }])).toEqual([
      'closed connections found: no garbage collection frees them',
    ]);
  });

  test('are none when few of those that close stay, as with more traffic', () => {
    const traffic = { closedPerMin: 200 };
    expect(answersOf([{ counts: LEAK, row: connections }], traffic, true)).toEqual([
      'closed connections inconclusive: few of the connections that close stay in memory',
    ]);
  });

  test('are no leak while a list with a limit retains them', () => {
    const list = { closed: 20, expected: 'the code removes entries at a limit' };
    const answers = answersOf([
      { counts: LEAK, row: connections },
      { counts: LEAK, row: list },
    ]);
    expect(answers[0]).toBe(
      'closed connections inconclusive: container1 retains them: the code removes entries at a limit',
    );
  });

  test('come after the container that retains them, and blame no container without closed connections', () => {
    const series = [
      { counts: LEAK, row: connections },
      { counts: LEAK, row: { closed: 20 } },
    ];
    expect(answersOf(series).map((answer) => answer.split(' ')[0])).toEqual(['container1', 'closed']);
    const cache = { counts: LEAK.slice(0, 4).map((entries) => entries - 90) };
    expect(answersOf([{ counts: LEAK.slice(0, 4), row: connections }, cache])[1]).toContain('inconclusive');
  });
});

describe('a Map by user, in which users stay (live servers)', () => {
  const row = { removal: 'none', closed: 0 } as const;
  const open = [60, 60, 60, 60, 60];

  test('with 6,000 users has nine entries for ten connections at first: no leak', () => {
    const counts = [256, 636, 811, 1791];
    const traffic = { open, timesMin: [20.2, 60.8, 81.6, 201.8], closedTotal: [201, 624, 814, 2086] };
    for (const length of [3, 4])
      expect(answersOf([{ counts: counts.slice(0, length), row }], { ...traffic, closedInHeap: 0 })).toEqual([
        'container0 inconclusive: its keys may be users or documents, which come back and whose number is limited',
      ]);
  });

  test('with 1,500 users keeps four fifths of its pace for five censuses: no leak', () => {
    // The number of users of 1,500 who have come at least once, with 5 connections a minute.
    const counts = TIMES_MIN.map((minutes) => Math.round(1500 * (1 - Math.exp((-5 * minutes) / 1500))));
    expect(answersOf([{ counts, row }], { closedInHeap: 0 })).toEqual([
      'container0 inconclusive: its keys may be users or documents, which come back and whose number is limited',
    ]);
  });

  test.each([
    ['two in three connections leave a new key', 2 / 3],
    ['messages add new keys, several for each connection', 3.4],
  ])('%s: a leak as soon as no bound would keep the pace', (_, perClosed) => {
    const found = (closedPerMin: number): boolean => {
      const counts = TIMES_MIN.map((minutes) => Math.round(closedPerMin * minutes * perClosed));
      return answersOf([{ counts, row }], { closedPerMin })[0]?.includes('found') === true;
    };
    expect(found(2)).toBe(false);
    expect(found(30)).toBe(true);
  });
});

describe('jobs that wait in a Map, of connections that have closed since (a live server)', () => {
  const counts = [126, 264, 393, 526];
  const jobs = { name: 'RenderService.jobs', removal: 'timer', closed: 17, sampled: 24 } as const;
  const connections = { type: 'Connections', name: 'closed connections', closed: 20, removal: null } as const;
  const series = [
    { counts, row: jobs },
    { counts: [18, 46, 80, 105], row: connections },
  ];
  const traffic = {
    open: [60, 60, 60, 60],
    timesMin: [20.3, 40.6, 61.3, 81.9],
    closedTotal: [114, 236, 360, 484],
  };
  const workedOff = [{ name: 'service.jobs', entries: 529 }];

  test('are no leak while the application removes the oldest', () => {
    expect(answersOf(series, { ...traffic, workedOff })).toEqual([
      'RenderService.jobs inconclusive: its oldest entries are removed, so it may be work that waits',
      'closed connections inconclusive: RenderService.jobs retains them, and its oldest entries are removed',
    ]);
  });

  test('retain the connections while they become fewer', () => {
    const less = [
      { counts: [...counts, 420], row: jobs },
      { counts: [18, 46, 80, 105, 125], row: connections },
    ];
    const { open, timesMin, closedTotal } = traffic;
    const later = {
      open: [...open, 60],
      timesMin: [...timesMin, 102],
      closedTotal: [...closedTotal, 604],
    };
    expect(answersOf(less, { ...later, workedOff: [{ name: 'service.jobs', entries: 418 }] })).toContain(
      'closed connections inconclusive: RenderService.jobs retains them, and its oldest entries are removed',
    );
    expect(answersOf(less, later)).toContain('closed connections found: no garbage collection frees them');
  });

  test('are one when memory grows too', () => {
    expect(answersOf(series, { ...traffic, workedOff }, true)[0]).toContain('RenderService.jobs found');
  });

  test.each([
    ['nothing is removed', []],
    ['another collection is worked off', [{ name: 'service.users', entries: 529 }]],
    ['a collection of that name has another size', [{ name: 'mail.jobs', entries: 40 }]],
  ])('are one when %s', (_, others) => {
    expect(answersOf(series, { ...traffic, workedOff: others })[0]).toContain('RenderService.jobs found');
  });
});

describe('a container that has the Buffers whose memory grows', () => {
  /** 35 entries in 10 min, and 12 connections: keys that may come back. Each has 100 KB. */
  const COUNTS = [70, 210, 280];
  const answerFor = (row: Partial<ContainerRow>, buffersPerHour: number | null): string => {
    const [growth] = evaluateContainers(
      censusesOf([{ counts: COUNTS, row }], { closedPerMin: 1.2 }).map((each, index) => ({
        ...each,
        census: {
          ...each.census,
          rows: each.census.rows.map((one) => ({ ...one, bytes: COUNTS[index]! * 100_000 })),
        },
      })),
      { memoryGrows: false, buffersPerHour },
    );
    return `${growth?.answer}: ${growth?.because}`;
  };
  const PER_HOUR = 210 * 100_000;
  const KEYS =
    'inconclusive: its keys may be users or documents, which come back and whose number is limited';

  test('is a leak when no code removes its entries', () => {
    expect(answerFor({ removal: 'none' }, PER_HOUR)).toBe(
      'found: it has the memory of Buffers that grows, and no code in its file removes entries',
    );
  });

  test.each([
    ['Buffers do not grow', { removal: 'none' }, null],
    ['it has less than half of the growth', { removal: 'none' }, PER_HOUR * 2.1],
    ['code removes entries', { removal: 'code' }, PER_HOUR],
  ] as const)('may be a cache while %s', (_, row, perHour) => {
    expect(answerFor(row, perHour)).toBe(KEYS);
  });
});
