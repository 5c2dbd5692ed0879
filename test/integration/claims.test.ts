/** Twenty processes have the same leak. One of them takes the snapshot. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describeWith, startComponent, type S3Store } from '../support/components.ts';

const ROOT = join(__dirname, '..', '..');
const INSTANCES = 20;

beforeAll(() => {
  execFileSync(process.execPath, [join(ROOT, 'test', 'tools', 'build.mjs')]);
});

/**
 * `argv`: number of the process, and the store as JSON. It writes to stderr when it is ready and when it has its answer, asks
 * when it reads a line, and stays alive until stdin ends.
 */
const ASK = `
const load = (name) => require(${JSON.stringify(join(ROOT, 'dist'))} + '/' + name);
const [, number, where] = process.argv;
const { dir, target } = JSON.parse(where);
const clock = load('core/clock.js').createClock();
const store = dir
  ? load('deliver/claims/folder-claim-store.js').createFolderClaimStore(dir)
  : load('deliver/claims/s3-claim-store.js').createS3ClaimStore(
      { ...target, credentials: () => Promise.resolve(target.credentials), clock }, '/chat/');
const claimant = { instance: 'instance-' + number, host: require('node:os').hostname(), pid: process.pid, isAlive: load('core/process.js').isProcessAlive };
const onUnavailable = (problem) => console.log(JSON.stringify(problem));
const take = load('deliver/claims/snapshot-claims.js').createSnapshotClaims({ store, service: '@acme/chat', claimant, clock, onUnavailable });
process.stdin.once('data', async () => {
  const answer = await take({ alertId: 'alert-' + number, fingerprint: '00f1' });
  if (answer.outcome === 'claimed' && answer.notClaimedBecause === null)
    await answer.end({ outcome: 'written', file: '/data/alert-' + number + '/heap-1-1.heapsnapshot.gz' });
  console.log(JSON.stringify(answer));
  process.stderr.write('.');
});
process.stderr.write('.');`;

interface Answer {
  readonly outcome: 'claimed' | 'refused' | 'failed';
  readonly reason?: string;
}

/** All ask at the same time, and none ends before the last one has its answer. */
async function askAll(where: object, count = INSTANCES): Promise<Answer[]> {
  const children = Array.from({ length: count }, (_, number) =>
    spawn(process.execPath, ['-e', ASK, `${number}`, JSON.stringify(where)], { stdio: 'pipe' }),
  );
  const answers = children.map((child) => text(child.stdout));
  const untilAllWrite = (): Promise<unknown> =>
    Promise.all(children.map(({ stderr }) => new Promise((resolve) => stderr.once('data', resolve))));
  await untilAllWrite();
  const answered = untilAllWrite();
  for (const child of children) child.stdin.write('ask\n');
  await answered;
  for (const child of children) child.stdin.end();
  return (await Promise.all(answers)).flatMap((lines) =>
    lines
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Answer),
  );
}

const placeIn = (answers: readonly Answer[]): RegExp => {
  const winner = answers.findIndex(({ outcome }) => outcome === 'claimed');
  return new RegExp(
    `^another instance has the snapshot: \\S+/alert-${winner}/(?:heap-1-1\\.heapsnapshot\\.gz)?$`,
  );
};

describe('in a directory', () => {
  let dir = '';
  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'wsguard-claims-'))));
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  test('one of twenty gets the claim', async () => {
    const answers = await askAll({ dir });
    expect(answers.filter(({ outcome }) => outcome === 'claimed')).toHaveLength(1);
    expect(answers.filter(({ outcome }) => outcome === 'refused')).toHaveLength(INSTANCES - 1);
  });
});

describeWith(['versitygw'], 'in an S3 bucket', () => {
  let store: S3Store;
  beforeAll(async () => (store = await startComponent('versitygw')));
  afterAll(() => store.stop());
  const targetOf = (more: object) => ({
    target: {
      bucket: 'snapshots',
      region: 'us-east-1',
      endpoint: store.url,
      pathStyle: 'auto',
      credentials: store.credentials,
      ...more,
    },
  });

  test('one of twenty gets the claim, and the others name its snapshot', async () => {
    const answers = await askAll(targetOf({}));
    expect(answers.filter(({ outcome }) => outcome === 'claimed')).toHaveLength(1);
    const losers = answers.filter(({ outcome }) => outcome === 'refused');
    expect(losers).toHaveLength(INSTANCES - 1);
    for (const { reason } of losers) expect(reason).toMatch(placeIn(answers));

    const date = new Date().toISOString().slice(0, 10);
    const key = `claims/@acme-chat/00f1/${date}`;
    expect(JSON.parse(readFileSync(join(store.dir, 'snapshots', 'chat', key), 'utf8'))).toMatchObject({
      schema: 'wsguard.claim/1',
      state: 'written',
      snapshot: expect.stringMatching(/^s3:\/\/snapshots\/chat\/alert-\d+\/heap-1-1\.heapsnapshot\.gz$/),
    });
  });

  test.each([
    [
      'a missing bucket',
      () => ({ bucket: 'missing' }),
      /^WSGUARD_S3_NO_BUCKET: HTTP status 404 NoSuchBucket$/,
    ],
    ['no server', () => ({ endpoint: 'http://127.0.0.1:1' }), /^WSGUARD_S3_FAILED: ECONNREFUSED$/],
  ])('with %s every process takes its snapshot, and says why', async (_, more, reason) => {
    const answers = await askAll(targetOf(more()), 2);
    expect(answers.filter(({ outcome }) => outcome === 'claimed')).toHaveLength(2);
    expect(answers.filter(({ outcome }) => outcome === 'failed')).toEqual(
      Array.from({ length: 2 }, () =>
        expect.objectContaining({ code: 'WSGUARD_CLAIM_UNAVAILABLE', reason: expect.stringMatching(reason) }),
      ),
    );
  });
});
