// The test suites that published packages carry, and how each is started in the folder of its package.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import packages from '../../fixtures/components/install-packages.js';

const FIXTURES = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'fixtures', 'foreign');

/**
 * The commands are those of the packages' own `npm test`, without their linters. One test of socketcluster-server takes 6 of its
 * 10 s on an idle machine, so it gets more time.
 */
const COMMANDS = {
  'socketcluster-server': '../.bin/mocha --reporter spec --timeout 60000 --slow 10000',
  sharedb: '../.bin/mocha',
  aedes: 'node --test --test-timeout=180000 test/*.js test/*.cjs',
};

export const SUITES = Object.entries(COMMANDS).map(([name, command]) => ({
  name,
  version: JSON.parse(readFileSync(join(FIXTURES, name, 'package.json'), 'utf8')).dependencies[name],
  command,
  install: () => join(packages.installPackages(join(FIXTURES, name)), 'node_modules', name),
}));
