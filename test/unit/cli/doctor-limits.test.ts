import { checkKernelLimits, readKernelLimits, type KernelLimits } from '../../../src/cli/doctor-limits.ts';
import { onLinux } from '../../support/platform.ts';

const GOOD: KernelLimits = { descriptors: 65_536, backlog: 4_096, keepaliveSeconds: 300 };
const answers = (limits: Partial<KernelLimits>, connections: number | null = null) =>
  checkKernelLimits({ ...GOOD, ...limits }, connections).map(({ works }) => works);
const detail = (limits: Partial<KernelLimits>, connections: number | null, index: number): string =>
  checkKernelLimits({ ...GOOD, ...limits }, connections)[index]!.detail;

test('good limits are ok', () => {
  expect(answers({})).toEqual(['yes', 'yes', 'yes']);
  expect(answers({}, 10_000)).toEqual(['yes', 'yes', 'yes']);
});

test('descriptors are low for the connections of the process', () => {
  expect(answers({ descriptors: 1_024 }, 384)).toEqual(['yes', 'yes', 'yes']);
  expect(answers({ descriptors: 1_024 }, 385)).toEqual(['partly', 'yes', 'yes']);
  expect(detail({ descriptors: 1_024 }, 900, 0)).toMatch(
    /^1,024: enough for about 384 connections .*, 900 sockets are open; raise it with ulimit -n/,
  );
});

test('without a process the usual limit of a shell is low', () => {
  expect(answers({ descriptors: 1_024 })[0]).toBe('partly');
  expect(answers({ descriptors: null })[0]).toBe('yes');
});

test('a short backlog and a late keepalive are named with their values', () => {
  expect(answers({ backlog: 128, keepaliveSeconds: 7_200 })).toEqual(['yes', 'partly', 'partly']);
  expect(detail({ backlog: 128 }, null, 1)).toContain('net.core.somaxconn is 128; set it to 4,096');
  expect(detail({ keepaliveSeconds: 7_200 }, null, 2)).toMatch(/^starts after 2(\.0)? h/);
});

test('what cannot be read is unknown', () => {
  expect(answers({ backlog: null, keepaliveSeconds: null })).toEqual(['yes', 'unknown', 'unknown']);
});

onLinux('the limits of this process are numbers of the kernel', () => {
  const { descriptors, backlog, keepaliveSeconds } = readKernelLimits('self');
  expect(descriptors === null || descriptors > 0).toBe(true);
  expect(backlog).toBeGreaterThan(0);
  expect(keepaliveSeconds).toBeGreaterThan(0);
});
