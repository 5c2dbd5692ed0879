/** Closed connections that are still in the heap: their retaining path, their number, and bytes that two suspects share. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { analyseFiles } from '../support/analyse-files.ts';
import { analysisText } from '../../src/report/analysis-text.ts';
import type { Analysis, RetainingStep, Suspect } from '../../src/types/index.ts';
import { NODES, nodeOf } from '../support/nodes.ts';

const PROGRAM = join(__dirname, '..', '..', 'fixtures', 'heaps', 'closed.js');
const folder = mkdtempSync(join(tmpdir(), 'wsguard-closed-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function snapshots(node: string, variant: string): readonly string[] {
  const into = mkdtempSync(join(folder, 'run-'));
  execFileSync(node, [PROGRAM, variant, into], { env: { ...process.env, NODE_OPTIONS: '' } });
  return ['a', 'b'].map((name) => join(into, `${name}.heapsnapshot`));
}

function suspectAt({ suspects }: Analysis, start: string): Suspect {
  const found = suspects.find(({ path }) => path[0] === start);
  if (found === undefined) throw new Error(`no suspect at ${start}: ${JSON.stringify(suspects)}`);
  return found;
}

/** `sessions: n -> ~.get(…): l`, with a tilde for suspect references. */
const drawn = (steps: readonly RetainingStep[]): string =>
  steps.map(({ text, state, isSuspect }) => `${isSuspect ? '~' : ''}${text}: ${state[0]}`).join(' -> ');

describe.each(NODES.map((name) => [name]))('snapshots of %s', (name) => {
  let leaky: readonly string[];
  beforeAll(async () => {
    leaky = snapshots(await nodeOf(name), 'leaky');
  });

  test('two snapshots: the suspect reference lies between container and entry, because all older entries remain', async () => {
    const analysis = await analyseFiles(leaky);
    const sessions = suspectAt(analysis, 'sessions');
    expect(drawn(sessions.steps)).toBe('sessions: n -> ~.get(…): l -> .socket: l');
    expect(sessions.steps.map(({ is, because }) => [is, because])).toEqual([
      ['Map', 'a variable of the module closed.js'],
      ['Session', 'new since the first snapshot; none of the 30 older entries was removed'],
      ['Socket', 'a closed socket: its handle is null'],
    ]);
    const bus = suspectAt(analysis, 'bus');
    expect(drawn(bus.steps)).toMatch(
      /^bus: n -> \._events: n -> \.news: n -> ~\[\d+\]: l -> session: l -> \.socket: l$/,
    );
    // A single snapshot is enough to recognise an ended response.
    const streams = suspectAt(analysis, 'streams');
    expect(streams.steps.at(-1)).toMatchObject({ is: 'ServerResponse', state: 'leaking', isSuspect: true });
    expect(streams.steps.at(-1)?.because).toContain('_closed');
  });

  test('two snapshots: bytes that sessions and listeners retain together are reported at both suspects only', async () => {
    const analysis = await analyseFiles(leaky);
    const [sessions, bus] = ['sessions', 'bus'].map((start) => suspectAt(analysis, start)) as [
      Suspect,
      Suspect,
    ];
    const named = ({ rank, name: of }: Suspect) => ({ rank, name: of });
    // Each session has an array of 200 numbers, which neither suspect retains alone.
    const bytes = sessions.shared[0]?.bytes ?? 0;
    expect(bytes).toBeGreaterThan(120 * 200 * 8);
    expect(bytes).toBeLessThan(2 * 120 * 200 * 8);
    expect(sessions.shared).toEqual([{ with: [named(bus)], bytes }]);
    expect(bus.shared).toEqual([{ with: [named(sessions)], bytes }]);
    expect(suspectAt(analysis, 'streams').shared).toEqual([]);
  });

  test('two snapshots: counts connections that opened and closed and are still in the heap; the text reports them', async () => {
    const analysis = await analyseFiles(leaky);
    const { connections } = analysis;
    // Each visit opens one connection to the TCP server and one to the HTTP server.
    expect(connections).toEqual({
      open: 10,
      closed: 280,
      before: { open: 10, closed: 40 },
      since: { opened: 0, openedAndClosed: 240, closed: 0, released: 0 },
    });
    const text = analysisText(analysis);
    expect(text).toContain('Opened after the first snapshot: 240 closed but still in memory.');
    expect(text).toContain('~~> .get(…) (Session): leaking, new since the first snapshot');
    expect(text).toMatch(
      /\d+ KiB are shared with listeners of 'news' on EventEmitter \(suspect \d\) and are freed only when both/,
    );
    expect(text).toContain('+120 entries while 240 connections opened, closed and stayed in memory');
  });

  test('a single snapshot: the path ends at the socket, because nothing shows that the session is leaked', async () => {
    const analysis = await analyseFiles(leaky.slice(1));
    expect(analysis.connections).toEqual({ open: 10, closed: 280, before: null, since: null });
    expect(drawn(suspectAt(analysis, 'sessions').steps)).toBe('sessions: n -> ~.get(…): u -> ~.socket: l');
  });

  test('the fixed program: no suspects, and at most two closed connections', async () => {
    const analysis = await analyseFiles(snapshots(await nodeOf(name), 'fixed'));
    expect(analysis.suspects).toEqual([]);
    expect(analysis.connections?.open).toBe(10);
    expect(analysis.connections?.since?.openedAndClosed).toBeLessThanOrEqual(2);
  });
});

test('files of two processes: no entry is called new, and connections are counted without changes', async () => {
  const [, other] = snapshots(process.execPath, 'leaky') as [string, string];
  const [first] = snapshots(process.execPath, 'leaky') as [string, string];
  const analysis = await analyseFiles([first, other]);
  expect(analysis.matchedBy).toBe('path');
  expect(analysis.connections).toMatchObject({ open: 10, closed: 280, before: { closed: 40 }, since: null });
  const because = analysis.suspects.flatMap(({ steps }) => steps.map((step) => step.because ?? ''));
  expect(because.filter((text) => /new since|as in the first snapshot/.test(text))).toEqual([]);
  expect(drawn(suspectAt(analysis, 'sessions').steps)).toBe('sessions: n -> ~.get(…): u -> ~.socket: l');
  expect(analysisText(analysis)).toMatch(
    /\+120 entries while the closed connections still in memory went from 40 to 280/,
  );
});
