import { closeSync, mkdtempSync, openSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DescriptorClasses } from '../../../src/watcher/descriptor-classes.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { sampleOf } from '../../support/samples.ts';
import { onLinux } from '../../support/platform.ts';

const SAMPLE = sampleOf({ descriptors: { open: 12, limit: null }, resources: { descriptor: 10, timer: 4 } });

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'wsguard-descriptors-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('the links are counted by class, sockets without the accepted ones', () => {
  const targets = [
    'socket:[1]',
    'socket:[2]',
    'socket:[3]',
    'pipe:[4]',
    'anon_inode:[eventpoll]',
    '/dev/null',
    '/var/log/a.log',
  ];
  targets.forEach((target, n) => symlinkSync(target, join(folder, `${n}`)));
  const classes = new DescriptorClasses(createFakeClock(), { folder, platform: 'linux' });
  expect(classes.addTo(SAMPLE).resources).toEqual({
    timer: 4,
    descriptor: 10,
    descriptor_socket: 1,
    descriptor_pipe: 1,
    descriptor_file: 1,
    descriptor_other: 2,
  });
});

onLinux('an opened file is one more descriptor of class file', () => {
  const read = (): number =>
    new DescriptorClasses(createFakeClock()).addTo(SAMPLE).resources?.descriptor_file ?? Number.NaN;
  const before = read();
  const descriptor = openSync(__filename, 'r');
  expect(read() - before).toBe(1);
  closeSync(descriptor);
});

test('a reading that takes long is followed by a pause of 200 times its duration', () => {
  const clock = createFakeClock();
  const classes = new DescriptorClasses(clock, { folder, platform: 'linux' });
  const nowMs = clock.nowMs.bind(clock);
  const times = [0, 50];
  jest.spyOn(clock, 'nowMs').mockImplementation(() => times.shift() ?? nowMs());
  expect(classes.addTo(SAMPLE).resources).toHaveProperty('descriptor_file');
  clock.advance(50 + 9_999);
  expect(classes.addTo(SAMPLE)).toBe(SAMPLE);
  clock.advance(1);
  expect(classes.addTo(SAMPLE).resources).toHaveProperty('descriptor_file');
});

test.each([
  ['a sample without resources', sampleOf({ resources: {} })],
  ['a sample of an older agent', sampleOf()],
  ['a sample without descriptors', sampleOf({ descriptors: null, resources: { descriptor: 1 } })],
])('%s stays as it is', (_, sample) => {
  const classes = new DescriptorClasses(createFakeClock(), { folder, platform: 'linux' });
  expect(classes.addTo(sample)).toBe(sample);
});

test('outside Linux, and where the folder cannot be read, there are no classes', () => {
  const elsewhere = new DescriptorClasses(createFakeClock(), { folder, platform: 'darwin' });
  expect(elsewhere.addTo(SAMPLE)).toBe(SAMPLE);
  const missing = new DescriptorClasses(createFakeClock(), { folder: join(folder, 'no'), platform: 'linux' });
  expect(missing.addTo(SAMPLE).resources).toEqual(SAMPLE.resources);
  expect(missing.addTo(SAMPLE)).toBe(SAMPLE);
});
