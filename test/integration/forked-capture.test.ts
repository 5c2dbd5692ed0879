import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { DIST, isRunning, runScript, writeScript, writtenFiles } from '../support/capture-script.ts';
import { eventually } from '../support/eventually.ts';

let dir: string;

beforeAll(() => {
  execFileSync(process.execPath, [join(__dirname, '..', 'tools', 'build.mjs')]);
});
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'wsguard-forked-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

const run = (script: string): unknown[] => runScript(dir, script);
const files = (): string[] => writtenFiles(dir);

test('writes one private file without secrets, complete to its last byte, and leaves no child', () => {
  const [snapshot, after] = run(`take().then((snapshot) => { print(snapshot); print(children()); });`);
  expect(snapshot).toMatchObject({ outcome: 'written', method: 'fork', redacted: true });
  expect(snapshot).not.toHaveProperty('notForkedBecause');
  expect(after).toEqual([]);
  expect(files()).toEqual([expect.stringMatching(/^heap-\d{13}-x\.heapsnapshot\.gz$/)]);
  const { file, pauseMs } = snapshot as { file: string; pauseMs: number };
  expect(pauseMs).toBeGreaterThan(0);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const text = gunzipSync(readFileSync(file)).toString();
  expect(text).not.toContain('planted-secret-7');
  const { snapshot: header, nodes } = JSON.parse(text) as {
    snapshot: { node_count: number; meta: { node_fields: string[] } };
    nodes: number[];
  };
  expect(nodes).toHaveLength(header.node_count * header.meta.node_fields.length);
});

test('a second snapshot gets the object ids of the first: only what was added is new', () => {
  const [first, problem, second] = run(`
    const { renumberLike } = require(${JSON.stringify(join(DIST, 'snapshots', 'renumber.js'))});
    const { createClock } = require(${JSON.stringify(join(DIST, 'core', 'clock.js'))});
    class Session { constructor(i) { this.data = { i }; } }
    globalThis.sessions = new Map();
    const add = (count) => { for (let i = 0; i < count; i += 1) sessions.set(sessions.size, new Session(i)); };
    add(300);
    take().then(async (first) => {
      add(500);
      const second = await take();
      const limits = () => ({ containerBytes: null, containerUsedBytes: null, availableBytes: null });
      const options = { dir: 's', limits, clock: createClock(), keepAlive: true };
      print(first);
      print(await renumberLike(options, { earlier: first.file, file: second.file }));
      print(second);
    });
  `) as [{ file: string }, unknown, { file: string }];
  expect(problem).toBeNull();
  const [before, after] = [first, second].map(({ file }) => idsByClass(file));
  // This is how the comparison view of DevTools decides what is new.
  const added = (name: string) => [...after!.get(name)!].filter((id) => !before!.get(name)!.has(id)).length;
  const removed = (name: string) => [...before!.get(name)!].filter((id) => !after!.get(name)!.has(id)).length;
  expect([added('Session'), removed('Session')]).toEqual([500, 0]);
  const functions = after!.get('(closures)')!.size;
  expect(functions).toBeGreaterThan(3_000);
  expect(added('(closures)')).toBeLessThan(functions / 20);
  expect(after!.get('')!.size).toBe(0);
});

/** Ids of the objects of each class, of all functions, and under the empty name those that two nodes have. */
function idsByClass(file: string): Map<string, Set<number>> {
  const { snapshot, nodes, strings } = JSON.parse(gunzipSync(readFileSync(file)).toString()) as {
    snapshot: { meta: { node_fields: string[]; node_types: [string[]] } };
    nodes: number[];
    strings: string[];
  };
  const { node_fields: fields, node_types: types } = snapshot.meta;
  const [type, name, id] = ['type', 'name', 'id'].map((field) => fields.indexOf(field)) as [
    number,
    number,
    number,
  ];
  const seen = new Set<number>();
  const ids = new Map<string, Set<number>>([['', new Set()]]);
  for (let row = 0; row < nodes.length; row += fields.length) {
    const isFunction = types[0][nodes[row + type]!] === 'closure';
    const key = isFunction ? '(closures)' : strings[nodes[row + name]!]!;
    const nodeId = nodes[row + id]!;
    if (seen.has(nodeId)) ids.get('')!.add(nodeId);
    seen.add(nodeId);
    if (types[0][nodes[row + type]!] !== 'object' && !isFunction) continue;
    const ofClass = ids.get(key) ?? new Set();
    ids.set(key, ofClass.add(nodeId));
  }
  return ids;
}

test('captures leave no memory mapping behind, and V8 keeps the marks on its memory', () => {
  const [before, after] = run(`
    const count = () => {
      const flags = require('fs').readFileSync('/proc/self/smaps', 'latin1').match(/^VmFlags:.*$/gm);
      const marked = flags.filter((line) => line.includes(' dc')).length;
      return { marked, other: flags.length - marked };
    };
    (async () => {
      // The first ones load code and start threads.
      for (let capture = 0; capture < 4; capture += 1) await take();
      print(count());
      for (let capture = 0; capture < 6; capture += 1) await take();
      print(count());
    })();
  `) as { marked: number; other: number }[];
  expect(before!.marked).toBeGreaterThan(10);
  // One for each capture would be 6 more.
  expect(after!.other).toBeLessThan(before!.other + 6);
  expect(after!.marked).toBeGreaterThan(before!.marked / 2);
});

test('without redaction the file has the values, and is gzipped too', () => {
  const [snapshot] = run(`take({ redact: false }).then(print);`);
  expect(snapshot).toMatchObject({ outcome: 'written', method: 'fork', redacted: false });
  const { file } = snapshot as { file: string };
  expect(gunzipSync(readFileSync(file)).toString()).toContain('planted-secret-7');
});

test('the child has its own name, no priority, no core file and no descriptor of the server but its output', () => {
  const [facts] = run(`
    const server = require('node:net').createServer().listen(0);
    const done = take();
    child().then(async (pid) => {
      const proc = (name) => fs.readFileSync('/proc/' + pid + '/' + name, 'utf8');
      // Its title is the last of what the child sets up. While it is stopped it cannot end.
      while (!proc('cmdline').startsWith('wsguard-capture')) await new Promise((resolve) => setTimeout(resolve, 1));
      process.kill(pid, 'SIGSTOP');
      print({
        title: proc('cmdline').split('\\0')[0],
        score: proc('oom_score_adj').trim(),
        priority: require('node:os').getPriority(pid),
        core: /Max core file size\\s+(\\d+)/.exec(proc('limits'))[1],
        links: fs.readdirSync('/proc/' + pid + '/fd').map((fd) => fs.readlinkSync('/proc/' + pid + '/fd/' + fd)),
        caught: /SigCgt:\\s+(\\w+)/.exec(proc('status'))[1],
      });
      process.kill(pid, 'SIGCONT');
      await done;
      server.close();
    });
  `) as { title: string; score: string; priority: number; core: string; links: string[]; caught: string }[];
  expect(facts).toMatchObject({ title: 'wsguard-capture', score: '1000', priority: 10, core: '0' });
  const foreign = facts!.links.filter((link) => !/^(\/dev\/null|pipe:|\/proc\/|\/sys\/)/.test(link));
  expect(foreign).toEqual([]);
  expect(new Set(facts!.links.filter((link) => link.startsWith('pipe:'))).size).toBe(1);
  // Only SIGALRM, the timer of the watchdog. glibc keeps two signals, 32 and 33, for itself.
  const caught = BigInt(`0x${facts!.caught}`) & ~((1n << 31n) | (1n << 32n));
  expect(caught).toBe(1n << 13n);
});

test('a signal to the child does not run the handlers of the server', () => {
  const [outcome, handled] = run(`
    let handled = 0;
    process.on('SIGTERM', () => (handled += 1));
    const done = take();
    child().then(async (pid) => {
      process.kill(pid, 'SIGTERM');
      print(await done);
      print(handled);
      process.exit(0);
    });
  `);
  expect(outcome).toMatchObject({ outcome: 'failed', code: 'WSGUARD_FORK_KILLED' });
  expect(handled).toBe(0);
  expect(files()).toEqual([]);
});

test('a child that hangs is ended and reaped at its deadline', () => {
  const [outcome, left] = run(`
    const { waitForChild, outcomeOfChild } = require(${JSON.stringify(join(DIST, 'capture', 'forked-child.js'))});
    const { loadAddon } = require(${JSON.stringify(join(DIST, 'capture', 'native-addon.js'))});
    const { createClock } = require(${JSON.stringify(join(DIST, 'core', 'clock.js'))});
    const addon = loadAddon();
    setInterval(() => {}, 1000).unref();
    addon.scanMarkedRanges().then((markedRanges) => {
      const limits = { deadlineMs: 300, maxCpuSeconds: 60, cpuShare: 1, maxGrowthBytes: 1e9, minAvailableBytes: 0, memoryGroups: [] };
      const attempt = () => {
        const pipe = addon.openPipe();
        const forked = addon.forkCapture({ ...limits, output: pipe.write, markedRanges }, () => { for (;;); });
        if (forked.outcome !== 'forked') return setTimeout(attempt, 5);
        const alive = setInterval(() => {}, 1000);
        waitForChild(forked.pid, 300, { addon, clock: createClock() }).then((end) => { clearInterval(alive); print(outcomeOfChild(end)); print(children()); });
      };
      attempt();
    });
  `);
  expect(outcome).toMatchObject({ outcome: 'failed', code: 'WSGUARD_FORK_DEADLINE' });
  expect(left).toEqual([]);
});

test('a child that is killed half-way leaves no file, and the next capture works', () => {
  const answers = run(`
    const done = take();
    child().then(async (pid) => {
      process.kill(pid, 'SIGKILL');
      print(await done);
      print(await take());
      print(children());
    });
  `);
  expect(answers).toMatchObject([
    { outcome: 'failed', code: 'WSGUARD_FORK_KILLED', reason: expect.stringContaining('killed') },
    { outcome: 'written' },
    [],
  ]);
  expect(files()).toHaveLength(1);
});

test('a redaction that is killed ends the child at once', () => {
  const [outcome, ms] = run(`
    const done = take();
    child().then(async (pid) => {
      const redaction = children().map(Number).find((other) => other !== pid);
      const startedMs = Date.now();
      process.kill(redaction, 'SIGKILL');
      print(await done);
      print(Date.now() - startedMs);
    });
  `);
  expect(outcome).toMatchObject({ outcome: 'failed', code: 'WSGUARD_ANALYSIS_FAILED' });
  // Its own deadline is minutes later.
  expect(ms).toBeLessThan(60_000);
  expect(files()).toEqual([]);
});

test('an application that waits for all of its children does not disturb the capture', () => {
  const [snapshot] = run(`
    // The addon itself plays the application here: it gets the end of the child before we do.
    const { loadAddon } = require(${JSON.stringify(join(DIST, 'capture', 'native-addon.js'))});
    const addon = loadAddon();
    const done = take();
    child().then(async (pid) => {
      const thief = setInterval(() => addon.waitForCapture(pid), 1);
      print(await done);
      clearInterval(thief);
    });
  `);
  expect(snapshot).toMatchObject({ outcome: 'written', method: 'fork' });
});

test('two captures of one process do not run at the same time', () => {
  const answers = run(`
    Promise.all([take({ snapshotDir: 's' }), take({ snapshotDir: 't' })]).then((both) => both.forEach(print));
  `) as { outcome: string }[];
  expect(answers.map(({ outcome }) => outcome)).toContain('written');
  for (const answer of answers)
    if (answer.outcome !== 'written')
      expect(answer).toMatchObject({ reason: expect.stringContaining('another capture') });
});

test('a file snapshots-off stops captures without a restart', () => {
  const [first, second] = run(`
    take().then(async (first) => {
      print(first);
      fs.writeFileSync('s/snapshots-off', '');
      print(await take());
    });
  `);
  expect(first).toMatchObject({ outcome: 'written' });
  expect(second).toMatchObject({ outcome: 'refused', reason: expect.stringContaining('snapshots-off') });
});

test.each([
  ['exits', (pid: number) => process.kill(pid, 'SIGUSR2'), 0],
  ['is killed', (pid: number) => process.kill(pid, 'SIGKILL'), null],
])(
  'a server that %s during a capture is gone at once, with its port, and leaves no file',
  async (_, end, code) => {
    const script = writeScript(
      dir,
      `
    const server = require('node:net').createServer().listen(0, '127.0.0.1', () => {
      process.on('SIGUSR2', () => process.exit(0));
      globalThis.more = Array.from({ length: 200_000 }, (_, i) => ({ i, text: 'entry ' + i }));
      take();
      child().then((pid) => print({ pid, port: server.address().port }));
    });
  `,
    );
    const server = spawn(process.execPath, [script], { cwd: dir, stdio: ['ignore', 'pipe', 'inherit'] });
    const line = await new Promise<string>((resolve) =>
      server.stdout.once('data', (data) => resolve(String(data))),
    );
    const { pid, port } = JSON.parse(line) as { pid: number; port: number };
    const exited = new Promise<number | null>((resolve) => server.once('exit', (status) => resolve(status)));
    end(server.pid!);
    expect(await exited).toBe(code);
    await new Promise<void>((resolve, reject) => {
      const next = createServer().once('error', reject);
      next.listen(port, '127.0.0.1', () => next.close(() => resolve()));
    });
    await eventually(() => !isRunning(pid), 'the end of the child');
    await eventually(() => files().length === 0, 'an empty folder');
  },
);

test('a client sees that its connection was closed while a capture runs', () => {
  const [snapshot] = run(`
    const net = require('node:net');
    const server = net.createServer(async (socket) => {
      const done = take();
      const pid = await child();
      // A child that has the socket would keep the connection open as long as it is stopped.
      process.kill(pid, 'SIGSTOP');
      client.on('close', async () => {
        process.kill(pid, 'SIGCONT');
        print(await done);
        server.close();
      });
      socket.destroy();
    }).listen(0);
    const client = net.connect(server.address().port).resume();
  `);
  expect(snapshot).toMatchObject({ outcome: 'written' });
});
