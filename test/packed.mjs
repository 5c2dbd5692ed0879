// Tests the package as its users get it: `npm pack`, an install into an empty project, and a preload of a ws server.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import lab from '../fixtures/components/process.js';
import { root, run } from '../fixtures/prepare.mjs';

const SERVER = `
const { WebSocketServer } = require('ws');
const wss = new WebSocketServer({ port: 0 }, () => console.log('listening', wss.address().port));
wss.on('connection', (ws) => ws.on('message', (m) => ws.send(String(m))));
process.stdin.on('end', () => process.exit(0)).resume();
`;
const CLIENT = `
const { WebSocket } = require('ws');
const ws = new WebSocket('ws://127.0.0.1:' + process.argv[1]);
ws.on('open', () => ws.send('hello'));
ws.on('message', (m) => { console.log(String(m)); ws.close(); });
`;

/** The remedies by name, with the ws of the project: a server starts. */
const REMEDY = `
memorySafeServer({ port: 0, statsPort: 0 }).listening.then(() => {
  console.log('listening');
  process.exit(0);
});
`;
const REMEDY_FILES = {
  'remedy.cjs': `const { memorySafeServer } = require('@wsguard/agent/remedy');${REMEDY}`,
  'remedy.mjs': `import { memorySafeServer } from '@wsguard/agent/remedy';${REMEDY}`,
};

let passed = 0;
let failed = 0;
function check(title, ok, reason) {
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${title}${ok ? '' : `: ${reason}`}`);
  if (ok) passed += 1;
  else failed += 1;
  return ok;
}

const dir = mkdtempSync(join(tmpdir(), 'wsguard-packed-'));

async function install() {
  const pack = await run('npm', ['pack', '--pack-destination', dir, '--loglevel=error']);
  const tarball = readdirSync(dir).find((name) => name.endsWith('.tgz'));
  if (!check('npm pack', pack.code === 0 && tarball, pack.output)) return false;
  writeFileSync(join(dir, 'package.json'), '{"name":"user-project","private":true}');
  const args = ['install', '--omit=dev', '--no-audit', '--no-fund', '--loglevel=error', `./${tarball}`, 'ws'];
  const installed = await run('npm', args, { cwd: dir });
  return check('npm install of the tarball', installed.code === 0, installed.output);
}

async function serve(preload) {
  writeFileSync(join(dir, 'server.js'), SERVER);
  const env = { ...process.env, NODE_OPTIONS: '', WSGUARD_TIME_SCALE: '60' };
  const server = lab.launch(process.execPath, [...preload, 'server.js'], { cwd: dir, env });
  const flags = preload.join(' ');
  try {
    const port = await lab.waitFor(() => /listening (\d+)/.exec(server.stdout())?.[1], {
      what: 'the server',
    });
    const echo = await run(process.execPath, ['-e', CLIENT, port], { cwd: dir, limitMs: 120_000 });
    check(`a client gets an echo with ${flags}`, echo.output.trim() === 'hello', echo.output);
    const hasStartLine = await lab
      .waitFor(() => server.stderr().includes('wsguard'), { what: 'the start line' })
      .catch(() => false);
    check(`the start line is logged with ${flags}`, hasStartLine, server.stderr());
    server.child.stdin.end();
    const { code } = await Promise.race([
      server.exited,
      lab.sleep(60_000).then(() => ({ code: 'still running' })),
    ]);
    check(`the server exits with ${flags}`, code === 0, `exit ${code}: ${server.stderr()}`);
  } catch (error) {
    check(`a server with ${flags}`, false, `${error.message}\n${server.stderr()}`);
  } finally {
    await server.stop('SIGKILL');
  }
}

if (await install()) {
  await serve(['--require', '@wsguard/agent']);
  await serve(['--import', '@wsguard/agent/register']);
  for (const [file, text] of Object.entries(REMEDY_FILES)) {
    writeFileSync(join(dir, file), text);
    const { output } = await run(process.execPath, [file], { cwd: dir });
    check(`@wsguard/agent/remedy in ${file}`, output.trim() === 'listening', output);
  }
  const cli = await run('npx', ['--no-install', 'wsguard', 'config'], { cwd: dir });
  check('wsguard config', cli.code === 0 && cli.output.includes('WSGUARD_ENABLED'), cli.output);
}
rmSync(dir, { recursive: true, force: true });
console.log(`packed package of ${root}`);
console.log(`${passed} passed, ${failed} failed, 0 skipped`);
process.exit(failed > 0 ? 1 : 0);
