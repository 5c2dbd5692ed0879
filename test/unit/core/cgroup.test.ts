import { availableBytes, CgroupMemory, cpuQuotaCores, readTextFile } from '../../../src/core/cgroup.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const files = (content: Record<string, string>) => (path: string) => content[path] ?? null;
const reading = (content: Record<string, string>) => {
  const memory = new CgroupMemory(files(content), 16 * GIB);
  return { limitBytes: memory.limitBytes(), usedBytes: memory.usedBytes(), oomKills: memory.oomKills() };
};

describe('memory', () => {
  test('v2 inside a container: the group is mounted as the root', () => {
    const content = {
      '/proc/self/cgroup': '0::/\n',
      '/sys/fs/cgroup/memory.max': `${300 * MIB}\n`,
      '/sys/fs/cgroup/memory.current': `${200 * MIB}\n`,
      '/sys/fs/cgroup/memory.stat': `anon ${150 * MIB}\ninactive_file ${40 * MIB}\nactive_file 7\n`,
      '/sys/fs/cgroup/memory.events': 'low 0\noom 3\noom_kill 2\n',
    };
    expect(reading(content)).toEqual({ limitBytes: 300 * MIB, usedBytes: 160 * MIB, oomKills: 2 });
  });

  test('v2 outside a container: the lowest limit of the group and its ancestors applies', () => {
    const content = {
      '/proc/self/cgroup': '0::/kubepods/pod1/app\n',
      '/sys/fs/cgroup/kubepods/pod1/app/memory.max': 'max\n',
      '/sys/fs/cgroup/kubepods/pod1/memory.max': `${512 * MIB}\n`,
      '/sys/fs/cgroup/kubepods/memory.max': `${8 * GIB}\n`,
      '/sys/fs/cgroup/kubepods/pod1/app/memory.current': '1000\n',
    };
    expect(reading(content)).toEqual({ limitBytes: 512 * MIB, usedBytes: 1000, oomKills: null });
  });

  test('a path may contain colons', () => {
    const content = {
      '/proc/self/cgroup': '0::/system.slice/app@a:b.service\n',
      '/sys/fs/cgroup/system.slice/app@a:b.service/memory.max': `${100 * MIB}\n`,
      '/sys/fs/cgroup/system.slice/app@a:b.service/memory.current': '7\n',
    };
    expect(reading(content)).toMatchObject({ limitBytes: 100 * MIB, usedBytes: 7 });
  });

  test('v1: the path of the host does not exist here, its mount point does', () => {
    const content = {
      '/proc/self/cgroup': '12:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/\n',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': `${256 * MIB}\n`,
      '/sys/fs/cgroup/memory/memory.usage_in_bytes': `${100 * MIB}\n`,
      '/sys/fs/cgroup/memory/memory.stat': `cache 1\ntotal_inactive_file ${30 * MIB}\n`,
      '/sys/fs/cgroup/memory/memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 1\n',
    };
    expect(reading(content)).toEqual({ limitBytes: 256 * MIB, usedBytes: 70 * MIB, oomKills: 1 });
  });

  test('v1 without a mounted memory controller: v2 is read', () => {
    const content = {
      '/proc/self/cgroup': '4:memory:/docker/abc\n0::/docker/abc\n',
      '/sys/fs/cgroup/memory.max': `${256 * MIB}\n`,
      '/sys/fs/cgroup/memory.current': '9\n',
    };
    expect(reading(content)).toEqual({ limitBytes: 256 * MIB, usedBytes: 9, oomKills: null });
  });

  test.each([
    [
      'v1 without a limit',
      '4:memory:/\n',
      '/sys/fs/cgroup/memory/memory.usage_in_bytes',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes',
      '9223372036854771712',
    ],
    ['v2 without a limit', '0::/\n', '/sys/fs/cgroup/memory.current', '/sys/fs/cgroup/memory.max', 'max'],
    [
      'a limit at physical memory',
      '0::/\n',
      '/sys/fs/cgroup/memory.current',
      '/sys/fs/cgroup/memory.max',
      String(16 * GIB),
    ],
  ])('%s is not a limit', (_case, groups, ...[usage, limit, text]) => {
    const content = { '/proc/self/cgroup': groups, [usage]: '5', [limit]: text };
    expect(reading(content)).toEqual({ limitBytes: null, usedBytes: 5, oomKills: null });
  });

  test('a usage below the reclaimable file cache counts as 0', () => {
    const content = {
      '/proc/self/cgroup': '0::/\n',
      '/sys/fs/cgroup/memory.current': '5\n',
      '/sys/fs/cgroup/memory.stat': 'inactive_file 9\n',
    };
    expect(reading(content).usedBytes).toBe(0);
  });

  test.each([
    ['no cgroup file', {}],
    ['a cgroup without a memory controller', { '/proc/self/cgroup': '0::/\n1:name=systemd:/\n' }],
  ])('%s: there is no container', (_case, content) => {
    expect(reading(content)).toEqual({ limitBytes: null, usedBytes: null, oomKills: null });
  });
});

test.each<[string, Record<string, string>, number | null]>([
  [
    'v2, half a core in the group itself',
    { '/proc/self/cgroup': '0::/a/b\n', '/sys/fs/cgroup/a/b/cpu.max': '50000 100000\n' },
    0.5,
  ],
  [
    'v2, one core two groups above and none below',
    {
      '/proc/self/cgroup': '0::/a/b\n',
      '/sys/fs/cgroup/a/b/cpu.max': 'max 100000\n',
      '/sys/fs/cgroup/cpu.max': '100000 100000',
    },
    1,
  ],
  [
    'v1, two cores',
    {
      '/proc/self/cgroup': '4:cpu,cpuacct:/docker/x\n0::/\n',
      '/sys/fs/cgroup/cpu/docker/x/cpu.cfs_quota_us': '200000\n',
      '/sys/fs/cgroup/cpu/docker/x/cpu.cfs_period_us': '100000\n',
    },
    2,
  ],
  [
    'v1 without a quota',
    {
      '/proc/self/cgroup': '4:cpu,cpuacct:/\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
    },
    null,
  ],
  ['no cgroup at all', {}, null],
])('CPU quota: %s', (_case, content, cores) => {
  expect(cpuQuotaCores(files(content))).toBe(cores);
});

test('a file that cannot be read has no text', () => {
  expect(readTextFile(__filename)).toContain('CgroupMemory');
  expect(readTextFile('/no/such/file')).toBeNull();
});

test('available memory is MemAvailable of /proc/meminfo, else the free memory', () => {
  expect(availableBytes(files({ '/proc/meminfo': 'MemTotal: 9 kB\nMemAvailable:   4 kB\n' }))).toBe(4096);
  expect(availableBytes(files({}))).toBeGreaterThan(0);
});
