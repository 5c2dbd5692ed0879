/** Every rule and every threat of SECURITY.md names a test that exists, a command, or the reason why there is none. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(__dirname, '..', '..', '..');
const page = readFileSync(join(ROOT, 'SECURITY.md'), 'utf8');
const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>;
};
const sectionOf = (title: string): string =>
  page.split(/^## /m).find((section) => section.startsWith(`${title}\n`)) ?? '';
const rowsOf = (title: string): string[][] =>
  sectionOf(title)
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(2)
    .map((line) =>
      line
        .slice(2, -2)
        .split(' | ')
        .map((cell) => cell.trim()),
    );

function proofExists(proof: string): boolean {
  const [, script] = /^npm run ([\w:]+)/.exec(proof) ?? [];
  return script === undefined ? existsSync(join(ROOT, proof)) : script in scripts;
}

test.each(rowsOf('Threats'))('threat: %s', (...cells) => {
  expect(cells).toHaveLength(4);
  const shownBy = cells[3]!;
  const proofs = [...shownBy.matchAll(/`([^`]+)`/g)].map(([, proof = '']) => proof);
  if (proofs.length === 0) expect(shownBy).toMatch(/^Reason: \S+/);
  expect(proofs.filter((proof) => !proofExists(proof))).toEqual([]);
});

const rules = ['What it writes', 'What it changes in the process'].flatMap((title) =>
  sectionOf(title)
    .split(/^- /m)
    .slice(1)
    .map((text) => text.replace(/\s+/g, ' ').trim()),
);

test.each(rules.map((rule) => [rule.slice(0, 60), rule]))('rule: %s', (_, rule) => {
  const proofs = [...rule.matchAll(/`(test\/[^`]+)`/g)].map(([, proof = '']) => proof);
  expect(proofs).not.toEqual([]);
  expect(proofs.filter((proof) => !proofExists(proof))).toEqual([]);
});

const attacks = readFileSync(join(ROOT, 'docs', 'attacks.md'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| '))
  .slice(2)
  .map((line) => line.slice(2, -2).split(' | '));

test.each(attacks)('attack: %s', (...cells) => {
  expect(cells).toHaveLength(5);
  const proofs = [...cells[4]!.matchAll(/`(test\/[^`]+)`/g)].map(([, proof = '']) => proof);
  expect(proofs).not.toEqual([]);
  expect(proofs.filter((proof) => !proofExists(proof))).toEqual([]);
});

test('the page has the threats and rules', () => {
  expect(rowsOf('Threats').length).toBeGreaterThanOrEqual(12);
  expect(rules.length).toBeGreaterThanOrEqual(10);
});
