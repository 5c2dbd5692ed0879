/** The ways to load the agent that the pages show, and child processes that start in another folder. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { endChildren, ROOT, startChild } from '../support/child.ts';

afterEach(endChildren);

/** A project that has the package installed. */
let project: string;
beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), 'wsguard-project-'));
  mkdirSync(join(project, 'node_modules', '@wsguard'), { recursive: true });
  symlinkSync(ROOT, join(project, 'node_modules', '@wsguard', 'agent'));
  writeFileSync(
    join(project, 'child.js'),
    `console.log('child in ' + process.cwd()); process.disconnect?.();`,
  );
  const scripts = { elsewhere: `cd "${tmpdir()}" && node "${join(project, 'child.js')}"` };
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'project', scripts }));
});
afterAll(() => rmSync(project, { recursive: true, force: true }));

const STARTS: Readonly<Record<string, string>> = {
  fork: `require('node:child_process').fork(file, { cwd })`,
  'cluster.fork': `(() => {
    const cluster = require('node:cluster');
    cluster.setupPrimary({ exec: file, cwd });
    return cluster.fork();
  })()`,
  spawn: `require('node:child_process').spawn(process.execPath, [file], { cwd, stdio: 'inherit' })`,
  'a shell': `require('node:child_process').spawn('cd ' + cwd + ' && node ' + file, { shell: true, stdio: 'inherit' })`,
};
const mainOf = (start: string): string => `
  const [file, cwd] = [${JSON.stringify(join(project, 'child.js'))}, ${JSON.stringify(tmpdir())}];
  const child = ${STARTS[start]};
  (child.process ?? child).on('exit', (code) => console.log('child exit ' + code));`;

describe.each<[string, readonly string[], Readonly<Record<string, string>>]>([
  ['--require @wsguard/agent', ['--require', '@wsguard/agent'], {}],
  ['--import @wsguard/agent/register', ['--import', '@wsguard/agent/register'], {}],
  ['a relative path', ['--require', './node_modules/@wsguard/agent'], {}],
  ['NODE_OPTIONS', [], { NODE_OPTIONS: '--require @wsguard/agent' }],
  ['the agent switched off', ['--require', '@wsguard/agent'], { WSGUARD_ENABLED: 'false' }],
])('with %s', (_, nodeArgs, env) => {
  test.each(Object.keys(STARTS))('a child of %s in another folder runs', async (start) => {
    const script = join(project, `${start.replace(/\W/g, '')}.js`);
    writeFileSync(script, mainOf(start));
    const child = startChild({ files: {}, cwd: project, args: [...nodeArgs, script], env });
    await child.stdoutMatch(/child exit 0/);
    expect(child.stdout()).toContain(`child in ${tmpdir()}`);
  });
});

test.each([
  ['npm', ['run', '--silent', 'elsewhere']],
  ['npx', ['--no-install', 'node', 'child.js']],
])('%s under NODE_OPTIONS runs its child', (command, args) => {
  const { status, stdout } = spawnSync(command, args, {
    cwd: project,
    env: { ...process.env, NODE_OPTIONS: '--require @wsguard/agent' },
    encoding: 'utf8',
  });
  expect([status, stdout]).toEqual([0, expect.stringContaining('child in ')]);
});
