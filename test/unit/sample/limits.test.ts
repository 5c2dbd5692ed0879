import { createLimitsReader, heapCapacityBytes, type HeapFlags } from '../../../src/sample/limits.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const flags = (more: Partial<HeapFlags> = {}): HeapFlags => ({
  execArgv: [],
  nodeOptions: '',
  v8: '11.3.244.8-node.33',
  ...more,
});

// Each heap_size_limit was measured on the named release with these options.
test.each([
  ['max-old-space-size is the heap capacity', 112, { execArgv: ['--max-old-space-size=64'] }, 64],
  ['underscores are read as dashes', 112, { execArgv: ['--max_old_space_size=64'] }, 64],
  [
    'options in NODE_OPTIONS are read too',
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
  ['zero means not set', 4144, { execArgv: ['--max-old-space-size=0'] }, 4096],
  [
    'max-old-space-size with semi-spaces of 64 MiB',
    256,
    { execArgv: ['--max-old-space-size=64', '--max-semi-space-size=64'] },
    64,
  ],
  ['only max-semi-space-size, 16', 4144, { execArgv: ['--max-semi-space-size=16'] }, 4096],
  ['only max-semi-space-size, 64', 4288, { nodeOptions: '--max-semi-space-size=64' }, 4096],
  ['only max-semi-space-size, 128', 4480, { nodeOptions: '--max-semi-space-size=128' }, 4096],
  ['no options on Node 20 and 22', 4144, {}, 4096],
  ['no options on Node 24', 4288, { v8: '13.6.233.10-node.28' }, 4096],
  ['no options on Node 26', 4192, { v8: '14.2.231.9-node.12' }, 4096],
  ['no options in a container of 512 MiB on Node 20', 259, {}, 256],
  ['no options in a container of 1 GiB on Node 20', 524, {}, 512],
  ['no options in a container of 2 GiB on Node 24', 1120, { v8: '13.6.233.10-node.28' }, 1024],
  ['no options in a container of 512 MiB on Node 26', 268, { v8: '14.2.231.9-node.12' }, 256],
])('%s', (_case, limit, given, capacity) => {
  expect(heapCapacityBytes(limit * MIB, flags(given)) / MIB).toBe(capacity);
});

test('a reading has the heap capacity and the memory of the cgroup', () => {
  const files: Record<string, string> = {
    '/proc/self/cgroup': '0::/\n',
    '/sys/fs/cgroup/memory.max': `${300 * MIB}\n`,
    '/sys/fs/cgroup/memory.current': `${200 * MIB}\n`,
    '/sys/fs/cgroup/memory.stat': `inactive_file ${40 * MIB}\n`,
    '/sys/fs/cgroup/memory.events': 'oom_kill 2\n',
  };
  const limits = createLimitsReader(flags(), {
    readFile: (path) => files[path] ?? null,
    physicalBytes: 16 * GIB,
  });
  expect(limits.read(4144 * MIB)).toEqual({
    heapCapacityBytes: 4096 * MIB,
    containerBytes: 300 * MIB,
    containerUsedBytes: 160 * MIB,
    containerOomKills: 2,
  });
});

test('a limit that is changed on a running container is read within 20 readings', () => {
  const files: Record<string, string> = {
    '/proc/self/cgroup': '0::/\n',
    '/sys/fs/cgroup/memory.max': `${300 * MIB}\n`,
    '/sys/fs/cgroup/memory.current': '5\n',
  };
  const readFile = (path: string) => files[path] ?? null;
  const limits = createLimitsReader(flags(), { readFile, physicalBytes: 16 * GIB });
  expect(limits.read(112 * MIB).containerBytes).toBe(300 * MIB);
  files['/sys/fs/cgroup/memory.max'] = `${600 * MIB}\n`;
  const later = Array.from({ length: 20 }, () => limits.read(112 * MIB).containerBytes);
  expect(later.slice(0, 19)).toEqual(Array.from({ length: 19 }, () => 300 * MIB));
  expect(later[19]).toBe(600 * MIB);
});

test('a system without cgroups has no container', () => {
  const limits = createLimitsReader(flags(), { readFile: () => null, physicalBytes: 16 * GIB });
  expect(limits.read(112 * MIB)).toMatchObject({
    containerBytes: null,
    containerUsedBytes: null,
    containerOomKills: null,
  });
});
