import { heapCapacityBytes, type HeapFlags } from '../../../src/sample/heap-capacity.ts';
import { createLimits } from '../../../src/sample/limits.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const flags = (more: Partial<HeapFlags> = {}): HeapFlags => ({
  execArgv: [],
  nodeOptions: '',
  v8: '11.3.244.8-node.33',
  ...more,
});

// heap_size_limit as measured on the named release with these flags.
test.each([
  ['max-old-space-size is what old space may grow to', 112, { execArgv: ['--max-old-space-size=64'] }, 64],
  ['underscores are dashes', 112, { execArgv: ['--max_old_space_size=64'] }, 64],
  [
    'flags come from NODE_OPTIONS too',
    112,
    { nodeOptions: '--enable-source-maps --max-old-space-size=64' },
    64,
  ],
  [
    'the command line wins over NODE_OPTIONS',
    112,
    { execArgv: ['--max-old-space-size=64'], nodeOptions: '--max-old-space-size=512' },
    64,
  ],
  [
    'the last of several counts',
    112,
    { execArgv: ['--max-old-space-size=9', '--max-old-space-size=64'] },
    64,
  ],
  ['zero is not set', 4144, { execArgv: ['--max-old-space-size=0'] }, 4096],
  [
    'semi-space 64 on top of it',
    256,
    { execArgv: ['--max-old-space-size=64', '--max-semi-space-size=64'] },
    64,
  ],
  ['semi-space alone, 16', 4144, { execArgv: ['--max-semi-space-size=16'] }, 4096],
  ['semi-space alone, 64', 4288, { nodeOptions: '--max-semi-space-size=64' }, 4096],
  ['semi-space alone, 128', 4480, { nodeOptions: '--max-semi-space-size=128' }, 4096],
  ['no flags on Node 20 and 22', 4144, {}, 4096],
  ['no flags on Node 24', 4288, { v8: '13.6.233.10-node.28' }, 4096],
  ['no flags on Node 26', 4192, { v8: '14.2.231.9-node.12' }, 4096],
  ['no flags in a container of 512 MiB on Node 20', 259, {}, 256],
  ['no flags in a container of 1 GiB on Node 20', 524, {}, 512],
  ['no flags in a container of 2 GiB on Node 24', 1120, { v8: '13.6.233.10-node.28' }, 1024],
  ['no flags in a container of 512 MiB on Node 26', 268, { v8: '14.2.231.9-node.12' }, 256],
])('%s', (_what, limit, given, capacity) => {
  expect(heapCapacityBytes(limit * MIB, flags(given)) / MIB).toBe(capacity);
});

const source = (files: Record<string, string>, physicalBytes = 16 * GIB) => ({
  readFile: (path: string) => files[path] ?? null,
  physicalBytes,
});

test('cgroup v2 in a container: its own group is the root', () => {
  const limits = createLimits(
    flags(),
    source({
      '/proc/self/cgroup': '0::/\n',
      '/sys/fs/cgroup/memory.max': `${300 * MIB}\n`,
      '/sys/fs/cgroup/memory.current': `${200 * MIB}\n`,
      '/sys/fs/cgroup/memory.stat': `anon ${150 * MIB}\ninactive_file ${40 * MIB}\nactive_file 7\n`,
      '/sys/fs/cgroup/memory.events': 'low 0\noom 3\noom_kill 2\n',
    }),
  );
  expect(limits.read(4144 * MIB)).toEqual({
    heapCapacityBytes: 4096 * MIB,
    containerBytes: 300 * MIB,
    containerUsedBytes: 160 * MIB,
    containerOomKills: 2,
  });
});

test('cgroup v2 outside one: the tightest of the group and those above it binds', () => {
  const limits = createLimits(
    flags(),
    source({
      '/proc/self/cgroup': '0::/kubepods/pod1/app\n',
      '/sys/fs/cgroup/kubepods/pod1/app/memory.max': 'max\n',
      '/sys/fs/cgroup/kubepods/pod1/memory.max': `${512 * MIB}\n`,
      '/sys/fs/cgroup/kubepods/memory.max': `${8 * GIB}\n`,
      '/sys/fs/cgroup/kubepods/pod1/app/memory.current': '1000\n',
    }),
  );
  expect(limits.read(112 * MIB)).toMatchObject({ containerBytes: 512 * MIB, containerUsedBytes: 1000 });
});

test('cgroup v1: the path of another namespace is not here, the mount itself is', () => {
  const limits = createLimits(
    flags(),
    source({
      '/proc/self/cgroup': '12:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/\n',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': `${256 * MIB}\n`,
      '/sys/fs/cgroup/memory/memory.usage_in_bytes': `${100 * MIB}\n`,
      '/sys/fs/cgroup/memory/memory.stat': `cache 1\ntotal_inactive_file ${30 * MIB}\n`,
      '/sys/fs/cgroup/memory/memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 1\n',
    }),
  );
  expect(limits.read(112 * MIB)).toMatchObject({
    containerBytes: 256 * MIB,
    containerUsedBytes: 70 * MIB,
    containerOomKills: 1,
  });
});

test.each([
  [
    'v1 without a limit',
    '4:memory:/\n',
    '/sys/fs/cgroup/memory/memory.limit_in_bytes',
    '9223372036854771712',
  ],
  ['v2 without a limit', '0::/\n', '/sys/fs/cgroup/memory.max', 'max'],
  ['a limit at physical memory', '0::/\n', '/sys/fs/cgroup/memory.max', String(16 * GIB)],
])('%s is none', (_what, groups, path, text) => {
  const used = path.replace('limit_in_bytes', 'usage_in_bytes').replace('memory.max', 'memory.current');
  const limits = createLimits(flags(), source({ '/proc/self/cgroup': groups, [path]: text, [used]: '5' }));
  expect(limits.read(112 * MIB)).toMatchObject({ containerBytes: null, containerUsedBytes: 5 });
});

test('a system without cgroups has no container', () => {
  expect(createLimits(flags(), source({})).read(112 * MIB)).toMatchObject({
    containerBytes: null,
    containerUsedBytes: null,
    containerOomKills: null,
  });
});
