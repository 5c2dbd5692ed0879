import { linkSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  claimName,
  MAX_CAPTURING_MS,
  mayTakeOver,
  parseClaim,
  type Claim,
  type Claimant,
  type ClaimStore,
} from '../../../src/deliver/claims/claim.ts';
import { createFolderClaimStore } from '../../../src/deliver/claims/folder-claim-store.ts';
import { createSnapshotClaims } from '../../../src/deliver/claims/snapshot-claims.ts';
import type { Snapshot } from '../../../src/types/index.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

const claimant = (more: Partial<Claimant> = {}): Claimant => ({
  instance: 'i1',
  host: 'h1',
  pid: 100,
  isAlive: () => true,
  ...more,
});
const CLAIM: Claim = {
  schema: 'wsguard.claim/1',
  alertId: 'a1',
  instance: 'i1',
  host: 'h1',
  pid: 100,
  claimedAt: new Date(0).toISOString(),
  state: 'written',
  snapshot: 's3://b/a1/heap.gz',
};
const CAPTURING = { state: 'capturing' } as const;
const WRITTEN: Snapshot = {
  outcome: 'written',
  file: '/var/lib/chat/a1/heap-1.heapsnapshot.gz',
  method: 'fork',
  pauseMs: 9,
  bytes: 1,
  redacted: true,
};
const REFUSED: Snapshot = { outcome: 'refused', reason: 'needs 2 GiB' };

test.each([
  ['chat', 'chat'],
  ['@scope/chat', '@scope-chat'],
  ['../../other', 'other'],
  ['..', 'service'],
])('the claim of the service %s stays below the folder of the claims', (service, segment) => {
  expect(claimName(service, 'f00d', Date.parse('2026-11-22T23:59:59.000Z'))).toBe(
    `${segment}/f00d/2026-11-22`,
  );
});

test.each(['', 'null', '{', '{"schema":"other"}', '{"schema":"wsguard.claim/1"}'])('%j is no claim', (text) =>
  expect(parseClaim(text)).toBeNull(),
);

describe('a claim that exists', () => {
  const other = claimant({ instance: 'i2', host: 'h2', pid: 200 });
  interface Case {
    readonly free: boolean;
    readonly claim?: Partial<Claim>;
    readonly asking?: Partial<Claimant>;
    readonly wallMs?: number;
  }
  const host = 'h1';
  test.each<[string, Case]>([
    ['of another host is not taken over', { free: false }],
    ['of the same alert is its own, also in a later process', { free: true, claim: { alertId: 'a2' } }],
    ['of the same process is its own', { free: true, claim: { instance: 'i2' } }],
    ['without a file is free', { free: true, claim: { state: 'released' } }],
    ['of a living process of this host is not', { free: false, asking: { host } }],
    ['of a dead process of this host is free', { free: true, asking: { host, isAlive: () => false } }],
    ['of an earlier process with the same pid is free', { free: true, asking: { host, pid: 100 } }],
    ['is not free while it captures', { free: false, claim: CAPTURING, wallMs: MAX_CAPTURING_MS }],
    ['is free when it captured too long', { free: true, claim: CAPTURING, wallMs: MAX_CAPTURING_MS + 1 }],
    ['is free without a readable time', { free: true, claim: { ...CAPTURING, claimedAt: 'soon' } }],
  ])('%s', (_, { free, claim, asking, wallMs = 0 }) =>
    expect(mayTakeOver({ ...CLAIM, ...claim }, 'a2', { ...other, ...asking }, wallMs)).toBe(free),
  );
});

/** A store in memory, which also stands for a store without the right to read. */
function memoryStore(content = new Map<string, string>(), more: Partial<ClaimStore> = {}) {
  const store: ClaimStore = {
    create: (name, text) => {
      if (content.has(name)) return Promise.resolve('exists');
      content.set(name, text);
      return Promise.resolve('created');
    },
    read: (name) => Promise.resolve(content.get(name) ?? { reason: 'ENOENT' }),
    replace: (name, text) => Promise.resolve(void content.set(name, text)),
    placeOf: (name) => `memory:${name}`,
    snapshotPlace: (alertId, file) => `memory:${alertId}/${file ?? ''}`,
    ...more,
  };
  return { content, store };
}

function open(store: ClaimStore, more: Partial<Claimant> = {}) {
  const clock = createFakeClock();
  const problems: object[] = [];
  const take = createSnapshotClaims({
    store,
    service: 'chat',
    claimant: claimant(more),
    clock,
    onUnavailable: (problem) => problems.push(problem),
  });
  return { take, clock, problems };
}
const A1 = { alertId: 'a1', fingerprint: 'f' };
const A2 = { alertId: 'a2', fingerprint: 'f' };
const OTHER = { instance: 'i2', host: 'h2' };

describe('taking a claim', () => {
  test('the first one gets it, and the others learn where the snapshot is', async () => {
    const { store } = memoryStore();
    const first = await open(store).take(A1);
    expect(first).toMatchObject({ outcome: 'claimed', notClaimedBecause: null });
    expect(await open(store, OTHER).take(A2)).toEqual({
      outcome: 'refused',
      reason: 'another instance has the snapshot: memory:a1/',
    });
    if (first.outcome === 'claimed') await first.end(WRITTEN);
    expect(await open(store, OTHER).take(A2)).toEqual({
      outcome: 'refused',
      reason: `another instance has the snapshot: memory:a1/${WRITTEN.file}`,
    });
  });

  test('the holder takes all snapshots of the day without asking again', async () => {
    const { store, content } = memoryStore();
    const { take } = open(store);
    const first = await take(A1);
    if (first.outcome === 'claimed') await first.end(WRITTEN);
    content.clear();
    expect(await take(A1)).toMatchObject({ outcome: 'claimed' });
  });

  test('a capture without a file sets it free', async () => {
    const { store } = memoryStore();
    const first = await open(store).take(A1);
    if (first.outcome === 'claimed') await first.end(REFUSED);
    const { take } = open(store, OTHER);
    expect(await take(A2)).toMatchObject({ outcome: 'claimed' });
    expect(await open(store).take(A1)).toMatchObject({ outcome: 'refused' });
  });

  test('without the right to read, the alert names the claim', async () => {
    const { store } = memoryStore(undefined, { read: () => Promise.resolve({ reason: 'AccessDenied' }) });
    await open(store).take(A1);
    expect(await open(store, OTHER).take(A2)).toEqual({
      outcome: 'refused',
      reason: 'another instance has the snapshot: memory:chat/f/2026-11-22',
    });
  });

  test('the next day it is asked for again', async () => {
    const { store, content } = memoryStore();
    const { take, clock } = open(store);
    await take(A1);
    clock.advance(24 * 3_600_000);
    await take(A1);
    expect(content.size).toBe(2);
  });

  test('a store that refuses does not cost the evidence', async () => {
    const { store } = memoryStore(undefined, {
      create: () => Promise.resolve({ reason: 'HTTP status 403' }),
    });
    const { take, problems } = open(store);
    const claimed = await take(A1);
    expect(claimed).toMatchObject({ outcome: 'claimed', notClaimedBecause: 'HTTP status 403' });
    if (claimed.outcome === 'claimed') await claimed.end(WRITTEN);
    expect(problems).toEqual([
      { outcome: 'failed', code: 'WSGUARD_CLAIM_UNAVAILABLE', reason: 'HTTP status 403' },
    ]);
  });

  test('a store that does not answer is left after 5 s', async () => {
    const { store } = memoryStore(undefined, { create: () => new Promise(() => undefined) });
    const { take, clock } = open(store);
    const answer = take(A1);
    clock.advance(5_000);
    expect(await answer).toMatchObject({ notClaimedBecause: 'no answer in 5 s' });
  });
});

describe('claims in a directory', () => {
  let dir = '';
  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'wsguard-claims-'))));
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  test('one of two gets the claim, with its content', async () => {
    const store = createFolderClaimStore(join(dir, 'new'));
    expect(await store.create('chat/f/2026-11-22', 'first')).toBe('created');
    expect(await store.create('chat/f/2026-11-22', 'second')).toBe('exists');
    expect(await store.read('chat/f/2026-11-22')).toBe('first');
    await store.replace('chat/f/2026-11-22', 'third');
    const file = store.placeOf('chat/f/2026-11-22');
    expect(file).toBe(join(dir, 'new', 'claims', 'chat', 'f', '2026-11-22'));
    expect(readFileSync(file, 'utf8')).toBe('third');
    expect(readdirSync(join(dir, 'new', 'claims', 'chat', 'f'))).toEqual(['2026-11-22']);
  });

  test('claims of earlier days are removed, other files are not', async () => {
    const store = createFolderClaimStore(dir);
    await store.create('chat/old/2026-11-21', 'old');
    await store.create('chat/kept/2026-11-21', 'old');
    writeFileSync(join(dir, 'claims', 'chat', 'kept', 'notes'), '');
    await store.create('chat/f/2026-11-21', 'old');
    await store.create('chat/f/2026-11-22', 'new');
    const chat = join(dir, 'claims', 'chat');
    expect(readdirSync(chat).toSorted()).toEqual(['f', 'kept']);
    expect(readdirSync(join(chat, 'f'))).toEqual(['2026-11-22']);
    expect(readdirSync(join(chat, 'kept'))).toEqual(['notes']);
  });

  test('a directory that cannot be used is a reason, not an exception', async () => {
    writeFileSync(join(dir, 'file'), '');
    const store = createFolderClaimStore(join(dir, 'file'));
    expect(await store.create('chat/f/2026-11-22', 'text')).toEqual({ reason: 'ENOTDIR' });
    expect(await store.read('chat/f/2026-11-22')).toEqual({ reason: 'ENOTDIR' });
    await store.replace('chat/f/2026-11-22', 'text');
  });

  test('a link in the place of a claim counts as a claim and is not followed', async () => {
    const store = createFolderClaimStore(dir);
    mkdirSync(join(dir, 'claims', 'chat', 'f'), { recursive: true, mode: 0o700 });
    writeFileSync(join(dir, 'other'), 'kept');
    linkSync(join(dir, 'other'), join(dir, 'claims', 'chat', 'f', '2026-11-22'));
    expect(await store.create('chat/f/2026-11-22', 'text')).toBe('exists');
    await store.replace('chat/f/2026-11-22', 'text');
    expect(readFileSync(join(dir, 'other'), 'utf8')).toBe('kept');
  });
});
