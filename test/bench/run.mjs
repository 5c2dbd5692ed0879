// `npm run bench -- <name> [--json] [...]`: builds, then runs test/bench/<name>.mjs with the rest of the arguments.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, dependenciesAreInstalled, installDependencies } from '../../fixtures/prepare.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const names = readdirSync(here)
  .filter((file) => file.endsWith('.mjs') && file !== 'run.mjs' && !file.startsWith('overhead-'))
  .map((file) => file.slice(0, -4));
const [name, ...rest] = process.argv.slice(2);
if (!name || !existsSync(join(here, `${name}.mjs`)) || name === 'run') {
  console.error(`npm run bench -- <name> [--json]. There are: ${names.join(', ')}.`);
  process.exit(2);
}

for (const task of [...(dependenciesAreInstalled() ? [] : [installDependencies]), build]) {
  const { code, output } = await task();
  if (code !== 0) {
    console.error(output);
    process.exit(3);
  }
}
// A setting in the caller's environment must not change the results.
const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !/^(WSGUARD|OTEL)_/.test(key)));
const child = spawn(process.execPath, [join(here, `${name}.mjs`), ...rest], { stdio: 'inherit', env });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(code ?? (signal ? 1 : 0)));
