import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBlackBox } from '../../../src/deliver/black-box.ts';
import { endedFolders } from '../../../src/deliver/black-box-recovery.ts';
import { Outbox, type Attempt } from '../../../src/deliver/outbox.ts';
import { OutboxFiles } from '../../../src/deliver/outbox-files.ts';
import type { Identity } from '../../../src/types/index.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { IDENTITY } from '../../support/run.ts';

const WALL_MS = Date.UTC(2026, 10, 22);
const isText = (value: unknown): value is string => typeof value === 'string';

let dir = '';
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'wsguard-outbox-'))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const identityOf = (instance: string, more: Partial<Identity> = {}): Identity => ({
  ...IDENTITY,
  instance,
  ...more,
});
const folderOf = (instance: string): string => join(dir, instance, 'outbox', 'webhook');
const namesOf = (instance: string): string[] => {
  const folder = folderOf(instance);
  return existsSync(folder) ? readdirSync(folder).toSorted() : [];
};

function filesOf(identity: Identity) {
  const problems: unknown[] = [];
  const files = new OutboxFiles<string>(
    { dir, identity, onUnwritable: (error) => problems.push(error) },
    'webhook',
    isText,
  );
  return { files, problems };
}

const itemsOf = (stored: readonly { item: string }[]): string[] => stored.map(({ item }) => item);

test('stored items are private, and are read again in the order of their time', () => {
  const { files } = filesOf(identityOf('a'));
  for (const [index, item] of ['one', 'two', 'three'].entries()) files.add(item, WALL_MS + index);
  const stored = filesOf(identityOf('a')).files.takeOver([]);
  expect(itemsOf(stored)).toEqual(['one', 'two', 'three']);
  expect(stored[0]).toMatchObject({ addedWallMs: WALL_MS });
  for (const one of stored) files.remove(one);
  expect(namesOf('a')).toEqual([]);
});

test('an update replaces the content and keeps the place', () => {
  const { files } = filesOf(identityOf('a'));
  const first = files.add('one', WALL_MS);
  files.add('two', WALL_MS);
  if (first === null) throw new Error('not stored');
  expect(files.update(first, 'ONE')?.name).toBe(first.name);
  expect(itemsOf(files.takeOver([]))).toEqual(['ONE', 'two']);
});

test('one of two new processes takes over an item, and the empty folders go', () => {
  filesOf(identityOf('dead')).files.add('one', WALL_MS);
  const ended = endedFolders(dir, identityOf('b'), WALL_MS);
  expect(ended).toEqual([join(dir, 'dead')]);
  const taken = ['b', 'c'].map((instance) => filesOf(identityOf(instance)).files.takeOver(ended));
  expect(taken.map(itemsOf)).toEqual([['one'], []]);
  expect(existsSync(join(dir, 'dead'))).toBe(false);
  expect(namesOf('b')).toHaveLength(1);
});

test('items of a live process and of another service stay where they are', () => {
  const live = identityOf('live', { pid: process.pid });
  const box = openBlackBox(dir, live, WALL_MS);
  filesOf(live).files.add('of a live process', WALL_MS);
  filesOf(identityOf('other', { service: 'mail' })).files.add('of another service', WALL_MS);
  const self = identityOf('self');
  const ended = endedFolders(dir, self, WALL_MS);
  expect(ended).toEqual([join(dir, 'other')]);
  expect(filesOf(self).files.takeOver(ended)).toEqual([]);
  expect([namesOf('live'), namesOf('other')].map((names) => names.length)).toEqual([1, 1]);
  box.close();
  // A regular exit leaves no owner.
  expect(endedFolders(dir, self, WALL_MS)).toContain(join(dir, 'live'));
});

test('damaged files of the agent are removed, foreign ones stay', () => {
  filesOf(identityOf('dead')).files.add('good', WALL_MS);
  const folder = folderOf('dead');
  const name = (number: number): string => `${WALL_MS}-00000${number}-0123456789ab.json`;
  writeFileSync(join(folder, name(2)), '{"schema":"wsguard.outbox/1","serv');
  writeFileSync(join(folder, name(3)), '{"schema":"wsguard.outbox/1","addedWallMs":1,"item":5}');
  writeFileSync(join(folder, name(4)), 'null');
  writeFileSync(join(folder, `${name(5)}.tmp`), 'half');
  writeFileSync(join(folder, 'notes.json'), '{}');
  writeFileSync(join(dir, 'secret'), 'of the user');
  symlinkSync(join(dir, 'secret'), join(folder, name(6)));
  mkdirSync(join(folder, name(7)));
  const taken = filesOf(identityOf('b')).files.takeOver([join(dir, 'dead')]);
  expect(itemsOf(taken)).toEqual(['good']);
  expect(namesOf('dead')).toEqual([name(6), name(7), 'notes.json']);
  expect(readFileSync(join(dir, 'secret'), 'utf8')).toBe('of the user');
});

test('a directory that cannot be written is reported once', () => {
  writeFileSync(join(dir, 'a'), '');
  const { files, problems } = filesOf(identityOf('a'));
  expect([files.add('one', WALL_MS), files.add('two', WALL_MS)]).toEqual([null, null]);
  expect(problems).toEqual([expect.objectContaining({ code: 'ENOTDIR' })]);
  expect(files.takeOver([])).toEqual([]);
});

test('an item above 1 MiB is not stored', () => {
  const { files, problems } = filesOf(identityOf('a'));
  expect(files.add('x'.repeat(1024 ** 2), WALL_MS)).toBeNull();
  expect(problems).toEqual([expect.objectContaining({ code: 'EFBIG' })]);
  expect(namesOf('a')).toEqual([]);
});

describe('an outbox with a store', () => {
  const RETRY: Attempt = { outcome: 'retry', code: 'WSGUARD_WEBHOOK_FAILED', reason: 'HTTP status 500' };

  function open(instance: string, reply: (item: string) => Attempt | Promise<Attempt>, maxItems = 10) {
    const clock = createFakeClock(WALL_MS);
    const sent: string[] = [];
    const outbox = new Outbox<string>({
      clock,
      maxItems,
      random: () => 1,
      store: filesOf(identityOf(instance)).files,
      attempt: async (item) => {
        sent.push(item);
        return reply(item);
      },
    });
    const settle = async (): Promise<void> => {
      for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
    };
    return { outbox, clock, sent, settle };
  }

  test('a delivered item leaves no file', async () => {
    const { outbox } = open('a', () => ({ outcome: 'delivered' }));
    await outbox.deliver('one');
    expect(namesOf('a')).toEqual([]);
  });

  test('stop keeps the items for the next process, which delivers them once', async () => {
    const first = open('a', () => RETRY);
    const outcomes = [first.outbox.deliver('one'), first.outbox.deliver('two')];
    await first.settle();
    first.outbox.stop();
    expect(await Promise.all(outcomes)).toEqual([
      expect.objectContaining({ outcome: 'retry', code: 'WSGUARD_OUTBOX' }),
      expect.objectContaining({ outcome: 'retry', code: 'WSGUARD_OUTBOX' }),
    ]);
    const second = open('b', () => ({ outcome: 'delivered' }));
    const restored = second.outbox.restore([join(dir, 'a')]);
    expect(await Promise.all(restored)).toEqual([{ outcome: 'delivered' }, { outcome: 'delivered' }]);
    expect(second.sent).toEqual(['one', 'two']);
    expect([namesOf('a'), namesOf('b')]).toEqual([[], []]);
  });

  test('an attempt that ends after stop removes its file', async () => {
    let answer: (attempt: Attempt) => void = () => undefined;
    const { outbox, settle } = open('a', () => new Promise<Attempt>((resolve) => (answer = resolve)));
    void outbox.deliver('one');
    await settle();
    outbox.stop();
    expect(namesOf('a')).toHaveLength(1);
    answer({ outcome: 'delivered' });
    await settle();
    expect(namesOf('a')).toEqual([]);
  });

  test('the oldest item is dropped with its file, by number and by size', async () => {
    const byNumber = open('a', () => RETRY, 3);
    const first = byNumber.outbox.deliver('1');
    for (const item of ['2', '3', '4']) void byNumber.outbox.deliver(item);
    expect(await first).toMatchObject({ reason: 'more than 3 items are pending' });
    expect(namesOf('a')).toHaveLength(3);
    const bySize = open('b', () => RETRY, 100);
    const large = Array.from({ length: 18 }, () => bySize.outbox.deliver('x'.repeat(1_000_000)));
    expect(await large[0]).toMatchObject({ outcome: 'dropped', reason: 'more than 16.0 MiB are pending' });
    expect(namesOf('b')).toHaveLength(16);
  });

  test('an item older than a day is tried once more and then dropped', async () => {
    filesOf(identityOf('dead')).files.add('old', WALL_MS - 25 * 3_600_000);
    const { outbox, sent } = open('b', () => RETRY);
    const [outcome] = outbox.restore([join(dir, 'dead')]);
    expect(await outcome).toMatchObject({ outcome: 'dropped', reason: 'HTTP status 500' });
    expect(sent).toEqual(['old']);
    expect(namesOf('b')).toEqual([]);
  });

  test('what an attempt saves is what the next process continues with', async () => {
    const clock = createFakeClock(WALL_MS);
    const files = filesOf(identityOf('a')).files;
    const outbox = new Outbox<string>({
      clock,
      maxItems: 10,
      store: files,
      attempt: async (item, save) => {
        save(`${item}, begun`);
        return RETRY;
      },
    });
    void outbox.deliver('one');
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
    expect(itemsOf(filesOf(identityOf('a')).files.takeOver([]))).toEqual(['one, begun']);
    outbox.stop();
  });
});
