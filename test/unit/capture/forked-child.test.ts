import {
  forkLimits,
  isShortOfMemory,
  isWorthRetrying,
  outcomeOfChild,
  waitForChild,
} from '../../../src/capture/forked-child.ts';
import type { ChildActivity } from '../../../src/capture/lock-wait.ts';
import type { ChildEnd } from '../../../src/capture/native-addon.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { MIB } from '../../support/capture-readings.ts';

const COST = { nodes: 1e6, pauseMs: 10, cpuMs: 5000, rssBytes: 600 * MIB, fileBytes: 100 * MIB };

describe('limits of the child', () => {
  const surroundings = { groups: [], cpuShare: 1, headroomBytes: 900 * MIB, maxSpillBytes: null };

  test('they follow from the predicted cost and from the headroom', () => {
    expect(forkLimits(COST, surroundings)).toEqual({
      deadlineMs: 280_000,
      maxCpuSeconds: 80,
      cpuShare: 1,
      maxGrowthBytes: 900 * MIB,
      maxSpillBytes: 0,
      minAvailableBytes: 64 * MIB,
      memoryGroups: [],
    });
  });

  test('a small share of the CPU makes the deadline later, up to eight minutes', () => {
    expect(forkLimits(COST, { ...surroundings, cpuShare: 0.7 }).deadlineMs).toBe(400_000);
    expect(forkLimits(COST, { ...surroundings, cpuShare: 0.1 }).deadlineMs).toBe(480_000);
  });

  test('where no headroom is known, twice the predicted memory is the bound', () => {
    expect(forkLimits(COST, { ...surroundings, headroomBytes: null }).maxGrowthBytes).toBe(1200 * MIB);
  });

  test.each([
    [100, 84],
    [1000, 920],
  ])('of a limit of %d MiB the child leaves the server a reserve: it ends above %d MiB', (limit, used) => {
    const group = { usageFile: '/g/memory.current', statFile: '/g/memory.stat', limitBytes: limit * MIB };
    expect(forkLimits(COST, { ...surroundings, groups: [group] }).memoryGroups).toEqual([
      {
        usageFile: group.usageFile,
        statFile: group.statFile,
        spillAboveBytes: used * MIB,
        maxUsedBytes: used * MIB,
      },
    ]);
  });

  test('a child whose memory can move to a file has more time, and may use a part of the reserve', () => {
    const group = { usageFile: '/g/memory.current', statFile: '/g/memory.stat', limitBytes: 300 * MIB };
    const limits = forkLimits(COST, { ...surroundings, groups: [group], maxSpillBytes: 500 * MIB });
    expect(limits).toMatchObject({
      deadlineMs: 480_000,
      maxCpuSeconds: 480,
      maxGrowthBytes: 1400 * MIB,
      maxSpillBytes: 500 * MIB,
    });
    expect(limits.memoryGroups).toMatchObject([{ spillAboveBytes: 260 * MIB, maxUsedBytes: 284 * MIB }]);
  });
});

describe('the end of the child', () => {
  test.each<[ChildEnd]>([[{ code: 0 }], [{ lost: 1 }]])('%j: the reader of its output decides', (end) => {
    expect(outcomeOfChild(end)).toBeNull();
  });

  test('a child that ended for lack of memory is a refusal', () => {
    expect(outcomeOfChild({ code: 82, maxRssBytes: 840 * 1024 ** 2 })).toMatchObject({
      outcome: 'refused',
      reason: expect.stringMatching(/memory ran short for the server; it had 840 MiB then$/) as string,
    });
    expect(outcomeOfChild({ code: 82 })).toMatchObject({
      outcome: 'refused',
      reason: expect.stringContaining('memory'),
    });
  });

  test('a child that found the disk full is a refusal', () => {
    expect(outcomeOfChild({ code: 91 })).toMatchObject({
      outcome: 'refused',
      reason: expect.stringContaining('disk'),
    });
  });

  test.each<[ChildEnd, string, RegExp]>([
    [{ code: 81 }, 'WSGUARD_FORK_FAILED', /exit code 81$/],
    [{ code: 84 }, 'WSGUARD_FORK_FAILED', /waited for a lock of a thread that was working$/],
    [{ code: 90 }, 'WSGUARD_FORK_DEADLINE', /deadline/],
    [{ signal: 24 }, 'WSGUARD_FORK_DEADLINE', /CPU time/],
    [
      { signal: 9, isStalled: true },
      'WSGUARD_FORK_STALLED',
      /waited for a lock of a thread that only the server has$/,
    ],
    [{ signal: 9 }, 'WSGUARD_FORK_KILLED', /killed/],
    [{ signal: 15 }, 'WSGUARD_FORK_KILLED', /somebody ended it with signal 15$/],
    [{ signal: 5 }, 'WSGUARD_FORK_FAILED', /signal 5$/],
  ])('%j is %s', (end, code, reason) => {
    expect(outcomeOfChild(end)).toMatchObject({
      outcome: 'failed',
      code,
      reason: expect.stringMatching(reason),
    });
  });

  test('only a child that met a lock of a dead thread gets a second attempt', () => {
    expect([83, 84, 85, 86, 87].map((code) => isWorthRetrying({ code }))).toEqual(Array(5).fill(true));
    expect([0, 81, 82, 88, 90].map((code) => isWorthRetrying({ code }))).toEqual(Array(5).fill(false));
    expect(isWorthRetrying({ signal: 11 })).toBe(false);
    expect(isWorthRetrying({ signal: 9 })).toBe(false);
    expect(isWorthRetrying({ signal: 9, isStalled: true })).toBe(true);
    expect([82, 91].map((code) => isShortOfMemory({ code }))).toEqual([true, false]);
  });
});

describe('waiting', () => {
  function start(endAfterPolls: number, activity: ChildActivity | null = null) {
    const clock = createFakeClock();
    const ended: number[] = [];
    let polls = 0;
    const addon = {
      waitForCapture: () =>
        ended.length > 0 ? { signal: 9 } : (polls += 1) > endAfterPolls ? { code: 0 } : null,
      endCapture: (pid: number) => void ended.push(pid),
    };
    return { clock, ended, done: waitForChild(42, 60_000, { addon, clock, readActivity: () => activity }) };
  }

  test('resolves with the exit code of the child', async () => {
    const { clock, done, ended } = start(3);
    clock.advance(200);
    await expect(done).resolves.toEqual({ code: 0 });
    expect(ended).toEqual([]);
  });

  test.each<[string, ChildActivity | null]>([
    ['the kernel does not tell what it does', null],
    ['it does not wait for a lock', { cpuMs: 500, isInFutex: false }],
  ])('ends a child that does not end itself after its deadline, when %s', async (_, activity) => {
    const { clock, done, ended } = start(1e9, activity);
    clock.advance(61_900);
    expect(ended).toEqual([]);
    clock.advance(300);
    await expect(done).resolves.toEqual({ signal: 9 });
    expect(ended).toEqual([42]);
  });

  test('ends a child that waits for a lock forever, long before its deadline', async () => {
    const { clock, done, ended } = start(1e9, { cpuMs: 500, isInFutex: true });
    clock.advance(9_000);
    expect(ended).toEqual([]);
    clock.advance(3_000);
    await expect(done).resolves.toEqual({ signal: 9, isStalled: true });
    expect(ended).toEqual([42]);
  });
});
