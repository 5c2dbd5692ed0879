/** Every row of docs/mission.md is shown by a test or a command that exists, or gives a reason. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(__dirname, '..', '..', '..');
const page = readFileSync(join(ROOT, 'docs', 'mission.md'), 'utf8');
const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>;
};
const BENCHES = readdirSync(join(ROOT, 'test', 'bench'));

const rows = page
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| named '))
  .map((line) => line.slice(2, -2).split(' | '));

function proofExists(proof: string): boolean {
  const [, script = '', bench] = /^npm run ([\w:]+)(?: -- ([\w-]+))?/.exec(proof) ?? [];
  if (script === '') return proof.startsWith('test/') && existsSync(join(ROOT, proof));
  return script in scripts && (script !== 'bench' || BENCHES.includes(`${bench}.mjs`));
}

test('the page has the rows of the mission', () => {
  expect(rows.length).toBeGreaterThan(50);
});

test.each(rows)('%s', (...cells) => {
  expect(cells).toHaveLength(3);
  const shownBy = cells[2]!;
  const proofs = [...shownBy.matchAll(/`([^`]+)`/g)].map(([, proof = '']) => proof);
  if (proofs.length === 0) expect(shownBy).toMatch(/^Reason: \S+/);
  expect(proofs.filter((proof) => !proofExists(proof))).toEqual([]);
});
