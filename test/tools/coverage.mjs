// Line and branch coverage of src by room, and the minimum that `npm test` requires. `npm test` measures the unit tests.
import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

/** Arguments for Jest that make it write `coverage-summary.json` into `folder`. */
export const coverageArguments = (folder) => [
  '--coverage',
  '--coverageProvider=v8',
  '--collectCoverageFrom=src/**/*.ts',
  // Files with types only have no code to run.
  '--collectCoverageFrom=!src/types/**',
  '--coverageReporters=json-summary',
  `--coverageDirectory=${folder}`,
];

/** Rooms that decide without side effects reach more than rooms that touch files, processes and V8. */
const CORE = { lines: 95, branches: 85 };
const ROOM = { lines: 90, branches: 80 };
/** Minimum in percent. A key is a folder of src, or a file of src. */
const MINIMUM = {
  alert: CORE,
  analyse: ROOM,
  capture: ROOM,
  'capture/gate.ts': CORE,
  config: ROOM,
  detect: CORE,
  investigate: CORE,
  kinds: CORE,
};

/** Reads the summary in `folder`. Returns one row per room, and per entry of `MINIMUM`. */
export function readCoverage(folder, root) {
  const summary = JSON.parse(readFileSync(join(folder, 'coverage-summary.json'), 'utf8'));
  const files = Object.entries(summary)
    .filter(([path]) => path !== 'total')
    .map(([path, coverage]) => ({ name: relative(join(root, 'src'), path), coverage }));
  const rooms = files.map(({ name }) => (name.includes('/') ? name.split('/')[0] : 'root'));
  const names = [...new Set([...rooms, ...Object.keys(MINIMUM)])].sort();
  return names.map((room) => {
    const inRoom = files.filter(({ name }) =>
      room === 'root' ? !name.includes('/') : name === room || name.startsWith(`${room}/`),
    );
    const share = (metric) => {
      const covered = inRoom.reduce((sum, { coverage }) => sum + coverage[metric].covered, 0);
      const total = inRoom.reduce((sum, { coverage }) => sum + coverage[metric].total, 0);
      return total === 0 ? 0 : (100 * covered) / total;
    };
    const row = { room, lines: share('lines'), branches: share('branches'), minimum: MINIMUM[room] ?? null };
    const isEnough =
      row.minimum === null || (row.lines >= row.minimum.lines && row.branches >= row.minimum.branches);
    return { ...row, isEnough };
  });
}

/** One line of text for a row of `readCoverage`. */
export function formatCoverage({ room, lines, branches, minimum, isEnough }) {
  const percent = (value) => `${value.toFixed(1).padStart(5)} %`;
  const required = minimum === null ? '' : `   at least ${minimum.lines} and ${minimum.branches} %`;
  return `${isEnough ? '    ' : 'FAIL'} ${room.padEnd(16)} lines ${percent(lines)}  branches ${percent(branches)}${required}`;
}
