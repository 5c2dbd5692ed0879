/**
 * Node 20 and 22 keep the result of the last synchronous stat. After one of a pipe or socket, `realpathSync` and with it
 * `require` do not follow links: pnpm links every package, and its packages then do not find their dependencies.
 */
import { AGENT, endChildren, startChild } from '../support/child.ts';

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
