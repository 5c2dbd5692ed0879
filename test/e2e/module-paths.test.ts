/**
 * Node 20 and 22 keep the result of the last synchronous stat. After one of a pipe or socket, `realpathSync` and with it
 * `require` do not follow links: pnpm links every package, and its packages then do not find their dependencies.
 */
import { cpSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AGENT, endChildren, removeFolder, ROOT, startChild } from '../support/child.ts';

afterEach(endChildren);

/** `linked(name)` loads a package as pnpm installs it: the package is a link, and only the real folder has its dependency. */
const LINKED = `
  const fs = require('node:fs');
  const path = require('node:path');
  function linked(name) {
    const modules = path.join(__dirname, 'node_modules');
    const real = path.join(modules, '.pnpm', name, 'node_modules');
    for (const folder of [name, name + '-dependency']) fs.mkdirSync(path.join(real, folder), { recursive: true });
    fs.writeFileSync(path.join(real, name, 'index.js'), 'module.exports = require("' + name + '-dependency");');
    fs.writeFileSync(path.join(real, name + '-dependency', 'index.js'), 'module.exports = "' + name + ' is loaded";');
    fs.symlinkSync(path.join(real, name), path.join(modules, name));
    console.log(require(name));
  }`;

test('an application finds linked packages at its start, and while the agent runs and logs', async () => {
  const child = startChild({
    files: {
      'main.js': `${LINKED}
        linked('first');
        const server = require('node:http').createServer().listen(0);
        // After the start line, and after more than two heartbeats of the agent.
        setTimeout(() => (linked('second'), server.close()), 3_000);`,
    },
    nodeArgs: ['--require', AGENT],
  });
  expect(await child.exited).toEqual({ code: 0, signal: null });
  expect(child.stdout()).toBe('first is loaded\nsecond is loaded\n');
  await child.logLine(/^watching /);
});

/** Stands for `.pnp.cjs` of Yarn: no package is found without this preload. */
const PLUG_AND_PLAY = `
  const Module = require('node:module');
  const { resolve } = Module.createRequire(${JSON.stringify(join(ROOT, 'package.json'))});
  const original = Module._resolveFilename;
  process.versions.pnp = '3';
  Module._resolveFilename = function (request, ...rest) {
    if (request === 'pnpapi') return __filename;
    try {
      return original.call(this, request, ...rest);
    } catch {
      return resolve(request);
    }
  };`;

test('the watcher and the analysis find the packages of the agent under Yarn Plug and Play', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'wsguard-pnp-'));
  for (const name of ['dist', 'native', 'package.json'])
    cpSync(join(ROOT, name), join(folder, name), { recursive: true });
  const entry = JSON.stringify(join(folder, 'dist', 'index.js'));
  const child = startChild({
    files: {
      'main.js': `
        require('./pnp.cjs');
        const agent = require(${entry}).start({ intervalMs: 250, pauseBudgetMs: 600_000 });
        // Refused before the first sample.
        const audit = async () => {
          const { outcome, code, reason } = await agent.audit();
          if (outcome === 'refused') return setTimeout(audit, 300);
          console.log('audit ' + outcome, code, reason);
          await agent.stop();
        };
        audit();`,
      'pnp.cjs': PLUG_AND_PLAY,
    },
  });
  try {
    expect(await child.exited).toEqual({ code: 0, signal: null });
    expect(child.stdout()).toMatch(/^audit done/);
    expect(child.logLines().map(({ code }) => code)).not.toContain('WSGUARD_WATCHER_DIED');
    await child.logLine(/^watching /);
  } finally {
    removeFolder(folder);
  }
});
