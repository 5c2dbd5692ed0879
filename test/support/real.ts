/** Heap snapshots of servers that use published packages, in a version with a known leak and in a version without. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts } from './components.ts';
import { eventually } from './eventually.ts';

export type Variant = 'bad' | 'fixed';
interface Launched {
  readonly child: ChildProcess;
  readonly exited: Promise<unknown>;
  stdout(): string;
  stderr(): string;
  stop(signal: NodeJS.Signals): Promise<unknown>;
}
interface Processes {
  readonly launch: (command: string, args: readonly string[], options: object) => Launched;
}
interface Cases {
  readonly PAIRS: Readonly<Record<string, readonly string[]>>;
  /** Installs the packages when they are missing, and returns their directory. */
  readonly installReal: (name: string, variant: Variant | 'current') => string;
}
interface State {
  readonly accepted: number;
  readonly busy: number;
}

const FIXTURES = join(__dirname, '..', '..', 'fixtures');
const PRELOAD = join(FIXTURES, 'real', 'preload-snapshots.js');
/** Connections that a case with "persistent": true keeps open. */
const PERSISTENT_CONNECTIONS = 10;
const { launch } = require(join(FIXTURES, 'components', 'process.js')) as Processes;
export const { PAIRS, installReal } = require(join(FIXTURES, 'real', 'start.js')) as Cases;

export const pinnedVersion = (name: string, variant: Variant, dependency: string): string | undefined =>
  readJson<{ dependencies: Record<string, string> }>(join(FIXTURES, 'real', name, variant, 'package.json'))
    .dependencies[dependency];

export interface Snapshots {
  /** The directory of the installed packages. */
  readonly dir: string;
  readonly files: readonly [string, string];
  /** Connections that the server accepted. A test checks with it that the load ran. */
  readonly accepted: number;
}

/** Takes one snapshot after `warm` units of load and another one after `units` more, each while the server is idle. */
export async function snapshotReal(
  [name, variant]: readonly [string, Variant],
  { warm, units, folder, node }: { warm: number; units: number; folder: string; node: string },
): Promise<Snapshots> {
  const dir = installReal(name, variant);
  const { persistent = false } = readJson<{ persistent?: boolean }>(join(dir, 'case.json'));
  const { http: port } = await freePorts(['http']);
  const options = { cwd: dir, env: { ...process.env, NODE_OPTIONS: '', PORT: String(port) } };
  const stdio = ['pipe', 'pipe', 'pipe', 'ipc'];
  const server = launch(node, ['--require', PRELOAD, 'server.js'], { ...options, stdio });
  const running = [server];
  const { when, request } = controls(server, `${name} ${variant}`);
  let rounds = 0;
  const round = async (load: Launched, size: number): Promise<string> => {
    load.child.stdin?.write(`${size}\n`);
    rounds += 1;
    await when(() => load.stdout().match(/^done$/gm)?.length === rounds, `round ${rounds} of its load`);
    await when(
      async () => (await request({})).busy === (persistent ? PERSISTENT_CONNECTIONS : 0),
      'an idle server',
    );
    const snapshot = join(folder, `${name}-${variant}-${rounds}.heapsnapshot`);
    await request({ snapshot });
    return snapshot;
  };
  try {
    await when(() => server.stdout().includes('ready'), 'its port');
    const load = launch(process.execPath, ['load.js'], options);
    running.push(load);
    const files = [await round(load, warm), await round(load, units)] as const;
    return { dir, files, accepted: (await request({})).accepted };
  } finally {
    await Promise.all(running.map((one) => one.stop('SIGKILL')));
  }
}

/** Waits and requests that fail when the server exits. */
function controls(server: Launched, title: string) {
  const died = server.exited.then((): never => {
    throw new Error(`${title} exited: ${server.stderr()}`);
  });
  died.catch(() => {});
  return {
    when: (condition: () => boolean | Promise<boolean>, what: string): Promise<boolean> =>
      Promise.race([died, eventually(condition, `${title}: ${what}`)]),
    request: async (message: { snapshot?: string }): Promise<State> => {
      const reply = once(server.child, 'message');
      server.child.send(message);
      const [state] = (await Promise.race([died, reply])) as [State];
      return state;
    },
  };
}

function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(path, 'utf8')) as T;
}
