/** Captures on a machine where things go wrong: disks, signals, other processes, the rights of the process. */
import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { DIST, isRunning, runScript, writeScript, writtenFiles } from '../support/capture-script.ts';
import { eventually } from '../support/eventually.ts';
import { asRoot } from '../support/platform.ts';

const ROOT = join(__dirname, '..', '..');
const NOBODY = 65_534;
let dir: string;

beforeAll(() => {
  execFileSync(process.execPath, [join(ROOT, 'test', 'tools', 'build.mjs')]);
});
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'wsguard-failures-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

const files = (): string[] => writtenFiles(dir);
const compiler = process.env['CC'] ?? 'cc';
const withCompiler = hasCompiler() ? test : test.skip;

function hasCompiler(): boolean {
  try {
    execFileSync(compiler, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function compile(source: string, output: string, flags: readonly string[] = []): string {
  const [from, to] = [join(dir, `${output}.c`), join(dir, output)];
  writeFileSync(from, source);
  execFileSync(compiler, [...flags, from, '-o', to], { stdio: 'pipe' });
  return to;
}

describe('disks', () => {
  function mount(options: string): { readonly folder: string; readonly unmount: () => void } {
    const folder = join(dir, 'disk');
    mkdirSync(folder);
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'none', folder]);
    return { folder, unmount: () => void execFileSync('umount', ['-l', folder]) };
  }

  asRoot('a disk that fills up during the capture: no half file, and the next capture works', () => {
    const { folder, unmount } = mount('size=80m,mode=700');
    try {
      const [outcome, left, refused, next] = runScript(
        dir,
        `
        const snapshots = () => fs.readdirSync('s').filter((name) => name.includes('heap-'));
        const done = take();
        child().then(async (pid) => {
          process.kill(pid, 'SIGSTOP');
          // The last bytes of the disk, too.
          for (const bytes of [1 << 20, 1 << 12, 1])
            try { for (;;) fs.appendFileSync('filler', Buffer.alloc(bytes)); } catch {}
          process.kill(pid, 'SIGCONT');
          print(await done);
          print(snapshots());
          print(await take());
          fs.unlinkSync('filler');
          print(await take());
        });
      `,
        { cwd: folder },
      );
      expect(outcome).toMatchObject({ outcome: 'failed', code: 'WSGUARD_CAPTURE_DISK_FULL' });
      expect(left).toEqual([]);
      expect(refused).toMatchObject({
        outcome: 'refused',
        reason: expect.stringContaining('of disk space'),
        needBytes: expect.any(Number),
        haveBytes: expect.any(Number),
      });
      expect(next).toMatchObject({ outcome: 'written' });
    } finally {
      unmount();
    }
  });

  test('a directory that cannot be written', () => {
    const disk = process.getuid?.() === 0 ? mount('ro') : null;
    const folder = disk?.folder ?? join(dir, 'disk');
    if (disk === null) {
      mkdirSync(folder);
      chmodSync(folder, 0o500);
    }
    try {
      const [outcome, after] = runScript(
        dir,
        `take().then((outcome) => { print(outcome); print(children()); });`,
        {
          cwd: folder,
        },
      );
      expect(outcome).toMatchObject({ outcome: 'failed', code: 'WSGUARD_CAPTURE_DENIED' });
      expect(after).toEqual([]);
    } finally {
      disk?.unmount();
    }
  });

  test('a quota that is reached refuses before anything stops', () => {
    const [first, second, third] = runScript(
      dir,
      `
      const analyzer = new HeapAnalyzer({ snapshotDir: 's', method: 'fork', maxSnapshots: 1 });
      analyzer.takeSnapshot('a').then(async (first) => {
        print(first);
        print(await analyzer.takeSnapshot('b'));
        print(await take({ maxSnapshots: 1 }));
      });
    `,
    );
    expect(first).toMatchObject({ outcome: 'written' });
    const refused = { outcome: 'refused', reason: expect.stringContaining('the limit is 1') };
    // The second object counts the files of the first: it stands for a restarted process.
    expect([second, third]).toMatchObject([refused, refused]);
    expect(files()).toHaveLength(1);
  });
});

test('a child that is stopped by a signal is ended and reaped at its deadline', () => {
  const [outcome, left] = runScript(
    dir,
    `
    const { waitForChild, outcomeOfChild } = require(${JSON.stringify(join(DIST, 'capture', 'forked-child.js'))});
    const { loadAddon } = require(${JSON.stringify(join(DIST, 'capture', 'native-addon.js'))});
    const { createClock } = require(${JSON.stringify(join(DIST, 'core', 'clock.js'))});
    const addon = loadAddon();
    const alive = setInterval(() => {}, 1000);
    addon.scanMarkedRanges().then((markedRanges) => {
      // The deadline of the child itself is late, so that it is stopped before that on a busy machine too.
      const limits = { deadlineMs: 60_000, maxCpuSeconds: 60, cpuShare: 1, maxGrowthBytes: 1e9, minAvailableBytes: 0, memoryGroups: [] };
      const attempt = () => {
        const pipe = addon.openPipe();
        const forked = addon.forkCapture({ ...limits, output: pipe.write, markedRanges }, () => { for (;;); });
        if (forked.outcome !== 'forked') return setTimeout(attempt, 5);
        process.kill(forked.pid, 'SIGSTOP');
        waitForChild(forked.pid, 300, { addon, clock: createClock() }).then((end) => {
          clearInterval(alive);
          print(outcomeOfChild(end));
          print(children());
        });
      };
      attempt();
    });
  `,
  );
  expect(outcome).toMatchObject({ outcome: 'failed', reason: expect.stringContaining('killed') });
  expect(left).toEqual([]);
});

test('after a SIGKILL of the server, its child and the redaction, the next start removes the half file', async () => {
  const script = writeScript(
    dir,
    `
    globalThis.more = Array.from({ length: 200_000 }, (_, i) => ({ i, text: 'entry ' + i }));
    take();
    child().then(() => print(children()));
  `,
  );
  const server = spawn(process.execPath, [script], { cwd: dir, stdio: ['ignore', 'pipe', 'inherit'] });
  const line = await new Promise<string>((resolve) =>
    server.stdout.once('data', (data) => resolve(String(data))),
  );
  const pids = [...(JSON.parse(line) as string[]).map(Number), server.pid!];
  for (const pid of pids) process.kill(pid, 'SIGKILL');
  await eventually(() => !pids.some(isRunning), 'the end of all processes');
  const halfFiles = readdirSync(join(dir, 's')).filter((name) => name.endsWith('.tmp'));
  expect(halfFiles).toHaveLength(1);
  for (const name of halfFiles) {
    const file = join(dir, 's', name);
    expect(readFileSync(file, 'latin1')).not.toContain('planted-secret');
    // Young files stay, because a process in another container that shares the directory looks dead.
    const longAgoS = Date.now() / 1000 - 3_600;
    utimesSync(file, longAgoS, longAgoS);
  }
  const [snapshot] = runScript(dir, `take().then(print);`);
  expect(snapshot).toMatchObject({ outcome: 'written', method: 'fork' });
  expect(files()).toEqual([expect.stringMatching(/^heap-\d+-x\.heapsnapshot\.gz$/)]);
});

test('two processes of one directory take their snapshots one after the other', async () => {
  const script = writeScript(dir, `take().then((snapshot) => { print(snapshot); });`);
  const servers = [1, 2].map(() =>
    spawn(process.execPath, [script], { cwd: dir, stdio: ['ignore', 'pipe', 'inherit'] }),
  );
  const outputs = Promise.all(servers.map(({ stdout }) => text(stdout)));
  const isCapturing = ({ pid }: { pid?: number | undefined }): boolean => {
    try {
      const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
      return children.some((child) => child !== '' && isRunning(Number(child)));
    } catch {
      return false;
    }
  };
  let most = 0;
  const watch = setInterval(() => (most = Math.max(most, servers.filter(isCapturing).length)), 2);
  const snapshots = (await outputs).map((output) => JSON.parse(output) as unknown);
  clearInterval(watch);
  expect(snapshots).toMatchObject([{ outcome: 'written' }, { outcome: 'written' }]);
  expect(most).toBe(1);
  expect(files()).toHaveLength(2);
});

test('two processes of one directory do not exceed its quota together', async () => {
  const script = writeScript(dir, `take({ maxSnapshots: 1 }).then((snapshot) => { print(snapshot); });`);
  const outputs = await Promise.all(
    [1, 2].map(() =>
      text(spawn(process.execPath, [script], { cwd: dir, stdio: ['ignore', 'pipe', 'inherit'] }).stdout),
    ),
  );
  const outcomes = outputs.map((output) => (JSON.parse(output) as { outcome: string }).outcome);
  expect(outcomes.toSorted()).toEqual(['refused', 'written']);
  expect(files()).toHaveLength(1);
});

/** A thread that waits for all children of the process, as some addons for child processes do. */
const WAIT_FOR_ALL = `
#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
#include <node_api.h>
static int taken = 0;
static void *wait_for_all(void *unused) {
  for (;;) {
    if (waitpid(-1, NULL, 0) > 0) taken++;
    else usleep(200);
  }
  return unused;
}
static napi_value Taken(napi_env env, napi_callback_info info) {
  napi_value result;
  napi_create_int32(env, taken, &result);
  return result;
}
NAPI_MODULE_INIT() {
  pthread_t thread;
  pthread_create(&thread, NULL, wait_for_all, NULL);
  napi_value result;
  napi_create_function(env, "taken", NAPI_AUTO_LENGTH, Taken, NULL, &result);
  return result;
}`;

/** Fails where the headers of Node are not beside it. */
function headers(): string {
  const script = `import(${JSON.stringify(join(ROOT, 'native', 'targets.mjs'))}).then(({ nodeHeaders }) => process.stdout.write(nodeHeaders() ?? ''))`;
  return execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' });
}

withCompiler('an addon of the application that takes the exit codes of all children', () => {
  const addon = compile(WAIT_FOR_ALL, 'wait.node', ['-shared', '-fPIC', '-pthread', `-I${headers()}`]);
  const [first, second, taken, left] = runScript(
    dir,
    `
    const taken = require(${JSON.stringify(addon)});
    take().then(async (first) => {
      print(first);
      print(await take());
      print(taken());
      print(children());
      process.exit(0);
    });
  `,
  );
  expect(first).toMatchObject({ outcome: 'written', method: 'fork' });
  expect(second).toMatchObject({ outcome: 'written', method: 'fork' });
  // It did take some. Of two forked children and two redactions Node may have been faster for one.
  expect(taken).toBeGreaterThanOrEqual(2);
  expect(left).toEqual([]);
  expect(files()).toHaveLength(2);
});

/**
 * Two waits for a lock that never ends: through the imported `syscall`, as V8 waits since Node 26, and inside libc, where the
 * addon cannot notice it.
 */
const WAIT_FOR_LOCK = `
#define _GNU_SOURCE
#include <linux/futex.h>
#include <sys/syscall.h>
#include <threads.h>
#include <unistd.h>
#include <node_api.h>
static napi_value InSyscall(napi_env env, napi_callback_info info) {
  static int word = 0;
  for (;;) syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
  return NULL;
}
static napi_value InLibc(napi_env env, napi_callback_info info) {
  mtx_t lock;
  mtx_init(&lock, mtx_plain);
  mtx_lock(&lock);
  mtx_lock(&lock);
  return NULL;
}
NAPI_MODULE_INIT() {
  napi_value function;
  napi_create_function(env, "InSyscall", NAPI_AUTO_LENGTH, InSyscall, NULL, &function);
  napi_set_named_property(env, exports, "InSyscall", function);
  napi_create_function(env, "InLibc", NAPI_AUTO_LENGTH, InLibc, NULL, &function);
  napi_set_named_property(env, exports, "InLibc", function);
  return exports;
}`;

describe('a forked child that waits for a lock that another thread of the server has', () => {
  /** The first `hangs` children wait. A child that waits leaves a file, because it cannot tell its parent. */
  const takeWith = (wait: string, hangs: number): unknown[] =>
    runScript(
      dir,
      `
      const addon = fs.existsSync('./addon.js') ? require('./addon.js') : null;
      const v8 = require('node:v8');
      const { writeHeapSnapshot } = v8;
      v8.writeHeapSnapshot = (file) => {
        const waiting = fs.readdirSync(${JSON.stringify(dir)}).filter((name) => name.startsWith('waits-')).length;
        if (waiting >= ${hangs}) return writeHeapSnapshot(file);
        fs.writeFileSync(${JSON.stringify(dir)} + '/waits-' + waiting, '');
        ${wait};
      };
      take().then((outcome) => {
        print(outcome);
        print(children());
        print(fs.readdirSync(${JSON.stringify(dir)}).filter((name) => name.startsWith('waits-')).length);
      });
    `,
    );
  const inAddon = (wait: 'InSyscall' | 'InLibc'): string => {
    const addon = compile(WAIT_FOR_LOCK, 'lock.node', ['-shared', '-fPIC', '-pthread', `-I${headers()}`]);
    // It is loaded before the fork, like the addons of an application.
    writeFileSync(join(dir, 'addon.js'), `module.exports = require(${JSON.stringify(addon)});`);
    return `addon.${wait}()`;
  };

  withCompiler.each(['InSyscall', 'InLibc'] as const)('%s: the next child writes the snapshot', (wait) => {
    expect(takeWith(inAddon(wait), 1)).toMatchObject([{ outcome: 'written', method: 'fork' }, [], 1]);
    expect(files()).toHaveLength(1);
  });

  test('in V8, with the locks of this Node: the next child writes the snapshot', () => {
    const wait = 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)';
    expect(takeWith(wait, 1)).toMatchObject([{ outcome: 'written', method: 'fork' }, [], 1]);
  });

  withCompiler('in each child: three of them, and the failure says why', () => {
    const failed = {
      outcome: 'failed',
      code: 'WSGUARD_FORK_FAILED',
      reason: expect.stringContaining('waited for a lock'),
    };
    expect(takeWith(inAddon('InSyscall'), 9)).toMatchObject([failed, [], 3]);
    expect(files()).toEqual([]);
  });
});

asRoot('a process that has changed its user takes the snapshot itself, and says why', () => {
  mkdirSync(join(dir, 's'), { mode: 0o700 });
  execFileSync('chown', ['-R', String(NOBODY), dir]);
  const [forked, automatic] = runScript(
    dir,
    `
    process.setgid(${NOBODY});
    process.setuid(${NOBODY});
    take().then(async (forked) => {
      print(forked);
      print(await take({ method: 'auto', pauseBudgetMs: 60_000 }));
    });
  `,
  );
  expect(forked).toMatchObject({ outcome: 'refused', reason: expect.stringContaining('setuid') });
  expect(automatic).toMatchObject({
    outcome: 'written',
    method: 'inprocess',
    notForkedBecause: expect.stringContaining('setuid'),
  });
});

/** Starts a program in which a system call fails, as a container's seccomp profile does it. \`argv\`: call, program. */
const SECCOMP = `
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#define WORD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define DENY BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#ifndef CLONE_VM
#define CLONE_VM 0x100
#endif
int main(int count, char **argv) {
  /* A clone without CLONE_VM is a fork. Threads and Node's own child processes have the flag. */
  struct sock_filter fork_denied[] = {
    WORD(nr), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
    WORD(args[0]), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_VM, 1, 0), DENY, ALLOW };
  struct sock_filter madvise_denied[] = {
    WORD(nr), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
    WORD(args[2]), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MADV_DOFORK, 0, 1), DENY, ALLOW };
  int is_fork = !strcmp(argv[1], "fork");
  struct sock_fprog program = { 6, is_fork ? fork_denied : madvise_denied };
  if (count < 3 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return 1;
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return 1;
  execvp(argv[2], argv + 2);
  return 1;
}`;

describe('a seccomp filter', () => {
  const onX64 = process.arch === 'x64' ? withCompiler : test.skip;
  const takeBoth = (call: string): unknown[] =>
    runScript(
      dir,
      `
      take().then(async (forked) => {
        print(forked);
        print(await take({ method: 'auto', pauseBudgetMs: 60_000 }));
        print(children());
        print(fs.readdirSync('s').filter((name) => name.includes('heap-')).length);
      });
    `,
      { launcher: [compile(SECCOMP, 'launcher'), call] },
    );

  onX64('that forbids the addon to unmark the heap: the process takes the snapshot itself', () => {
    expect(takeBoth('madvise')).toMatchObject([
      { outcome: 'failed', code: 'WSGUARD_FORK_UNAVAILABLE' },
      {
        outcome: 'written',
        method: 'inprocess',
        notForkedBecause: expect.stringMatching(/^cannot fork: /),
      },
      [],
      1,
    ]);
  });

  onX64('that forbids new processes: no snapshot, because nothing could redact it, and no stop', () => {
    const failure = { outcome: 'failed', code: 'WSGUARD_CAPTURE_DENIED', reason: 'spawn EPERM' };
    expect(takeBoth('fork')).toMatchObject([failure, failure, [], 0]);
  });
});
