// `npm run matrix [-- --nodes 20,22,24,26] [--servers ws-8,sse-koa] [--packagings ESM,tsx] [--write]`: real servers in five
// packagings under the agent, each counted while clients come and go. `--write` puts the results into the table of
// docs/coverage.md; results of other cells stay there. `--jobs 4` runs four cells at once.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import catalogue from '../../fixtures/components/catalogue.js';
import packages from '../../fixtures/components/install-packages.js';
import { build, dependenciesAreInstalled, installDependencies, root } from '../../fixtures/prepare.mjs';
import { runCell } from './cell.mjs';
import { makePackaging, nodeArguments, PACKAGINGS } from './packagings.mjs';
import { SERVERS } from './servers.mjs';
import { coverageTable, fillCoverage, readCoverage } from './table.mjs';

const PAGE = join(root, 'docs', 'coverage.md');
const MAJORS = ['20', '22', '24', '26'];
const OPTIONS = {
  nodes: MAJORS,
  servers: SERVERS.map(({ file }) => file),
  packagings: Object.keys(PACKAGINGS),
};

/** The values of an option, all when it is not given. Throws on an unknown value. */
function choose(name, text) {
  const chosen = text === undefined ? OPTIONS[name] : text.split(',');
  const unknown = chosen.filter((value) => !OPTIONS[name].includes(value));
  if (unknown.length === 0) return chosen;
  throw new Error(
    `--${name}: unknown ${unknown.join(', ')}. There are: ${[...new Set(OPTIONS[name])].join(', ')}`,
  );
}

const nodeOf = (major) => {
  const node = process.versions.node.startsWith(`${major}.`)
    ? process.execPath
    : catalogue.locate(`node${major}`);
  if (node === null)
    throw new Error(`Node ${major} is missing. Install it with: npm run components -- node${major}`);
  return node;
};

/** A self-signed certificate for 127.0.0.1. */
function makeCertificate(dir) {
  const [cert, key] = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
  const flags = '-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1';
  execFileSync('openssl', ['req', ...flags.split(' '), '-keyout', key, '-out', cert], { stdio: 'pipe' });
  return { cert, key };
}

async function makeCells({ nodes, servers, packagings }, certificate) {
  const folder = packages.installPackages(join(root, 'fixtures', 'matrix'));
  const cells = [];
  for (const packaging of packagings) {
    const args = nodeArguments(packaging, folder);
    const chosen = SERVERS.filter(({ file, cannotBe }) => servers.includes(file) && cannotBe !== packaging);
    for (const server of chosen) {
      const file = await makePackaging(packaging, server.file, folder);
      for (const major of nodes) {
        cells.push({ server, packaging, major, file, args, node: nodeOf(major), certificate });
      }
    }
  }
  return cells.toSorted((a, b) => a.major - b.major);
}

/** Runs the cells, `jobs` at once. A cell that fails runs once more alone at the end: machines can be slow. */
async function runCells(cells, jobs, onDone) {
  const waiting = [...cells];
  const failed = [];
  const worker = async () => {
    for (let cell = waiting.shift(); cell !== undefined; cell = waiting.shift()) {
      cell.reason = await runCell(cell.server, cell);
      if (cell.reason !== null) failed.push(cell);
      onDone(cells.length - waiting.length);
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  for (const cell of failed) {
    cell.reason = await runCell(cell.server, cell);
    const { server, packaging, major, reason } = cell;
    if (reason !== null) console.log(`FAIL ${server.title}, ${packaging}, Node ${major}: ${reason}`);
  }
}

async function main() {
  const { values } = parseArgs({
    options: {
      nodes: { type: 'string' },
      servers: { type: 'string' },
      packagings: { type: 'string' },
      write: { type: 'boolean', default: false },
      jobs: { type: 'string', default: String(availableParallelism()) },
    },
  });
  const chosen = Object.fromEntries(Object.keys(OPTIONS).map((name) => [name, choose(name, values[name])]));
  for (const task of [...(dependenciesAreInstalled() ? [] : [installDependencies]), build]) {
    const { code, output } = await task();
    if (code !== 0) throw new Error(output);
  }
  const dir = mkdtempSync(join(tmpdir(), 'wsguard-matrix-'));
  try {
    const cells = await makeCells(chosen, makeCertificate(dir));
    const writeTable = () => {
      const done = cells.filter(({ reason }) => reason !== undefined);
      if (!values.write) return;
      const page = readFileSync(PAGE, 'utf8');
      writeFileSync(PAGE, fillCoverage(page, coverageTable(done, readCoverage(page))));
    };
    await runCells(cells, Number(values.jobs), (begun) => {
      if (begun % 29 === 0) writeTable();
    });
    writeTable();
    const failed = cells.filter(({ reason }) => reason !== null).length;
    console.log(`${cells.length - failed} passed, ${failed} failed, 0 skipped`);
    return failed === 0 ? 0 : 1;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 2;
}
