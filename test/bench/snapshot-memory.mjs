// `npm run bench -- snapshot-memory [--json] [--count 200000] [--node <path>]`: the memory that V8 takes for a snapshot, in the
// process and in a forked child, for the same number of objects in one map, in one array and in small arrays.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const here = dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    count: { type: 'string', default: '200000' },
    node: { type: 'string', default: process.execPath },
  },
});
const dir = mkdtempSync(join(tmpdir(), 'wsguard-bench-snapshot-memory-'));
try {
  for (const shape of ['map', 'array', 'small arrays']) {
    for (const method of ['inprocess', 'fork']) {
      const args = ['--expose-gc', join(here, 'snapshot-memory.cjs'), shape, method, values.count, dir];
      const result = JSON.parse(execFileSync(values.node, args, { encoding: 'utf8' }));
      console.log(values.json ? JSON.stringify(result) : result);
    }
  }
} finally {
  rmSync(dir, { recursive: true, force: true });
}
