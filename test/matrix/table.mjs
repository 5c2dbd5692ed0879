// The table of docs/coverage.md, made from the cells of the coverage matrix.
import { PACKAGINGS } from './packagings.mjs';
import { SERVERS } from './servers.mjs';

const BEGIN = '<!-- measured:matrix -->';
const END = '<!-- /measured -->';

/** The results in the table of a page: `title|packaging|major` to whether the counts were right. */
export function readCoverage(page) {
  const results = new Map();
  const rows = page.slice(page.indexOf(BEGIN), page.indexOf(END)).split('\n');
  const [header = '', , ...servers] = rows.filter((line) => line.startsWith('|'));
  const [, , ...packagings] = columnsOf(header);
  for (const line of servers) {
    const [title, , ...cells] = columnsOf(line);
    for (const [index, cell] of cells.entries()) {
      const [right = '', wrong = ''] = cell.split('**wrong:');
      for (const [text, isRight] of [
        [right, true],
        [wrong, false],
      ]) {
        for (const major of text.match(/\d+/g) ?? [])
          results.set(`${title}|${packagings[index]}|${major}`, isRight);
      }
    }
  }
  return results;
}

const columnsOf = (line) =>
  line
    .slice(1, -1)
    .split('|')
    .map((cell) => cell.trim());

/**
 * One row for each server, one column for each packaging; a cell has the Nodes on which the counts were right. Results of
 * earlier runs stay where `cells` has none.
 */
export function coverageTable(cells, earlier) {
  const results = new Map(earlier);
  for (const { server, packaging, major, reason } of cells) {
    results.set(`${server.title}|${packaging}|${major}`, reason === null);
  }
  for (const { title, cannotBe } of SERVERS) {
    for (const key of results.keys()) if (key.startsWith(`${title}|${cannotBe}|`)) results.delete(key);
  }
  const packagings = Object.keys(PACKAGINGS);
  const rows = SERVERS.map((server) => {
    const texts = packagings.map((name) => cellText(results, `${server.title}|${name}|`));
    const counted =
      server.transport === null ? 'not counted; the start line says so' : `\`${server.transport}\``;
    return `| ${server.title} | ${counted} | ${texts.join(' | ')} |`;
  });
  const right = [...results.values()].filter(Boolean).length;
  const date = new Date().toISOString().slice(0, 10);
  return [
    `\`npm run matrix -- --write\`, ${date}: ${right} of ${results.size} right.`,
    '',
    `| server | counted as | ${packagings.join(' | ')} |`,
    `|${'---|'.repeat(packagings.length + 2)}`,
    ...rows,
  ].join('\n');
}

function cellText(results, prefix) {
  const majors = [...results.keys()]
    .filter((key) => key.startsWith(prefix))
    .map((key) => key.slice(prefix.length));
  const [right, wrong] = [true, false].map((value) =>
    majors.filter((major) => results.get(prefix + major) === value),
  );
  if (majors.length === 0) return '–';
  return wrong.length === 0 ? right.join(' ') : `${right.join(' ')} **wrong: ${wrong.join(' ')}**`.trim();
}

export function fillCoverage(page, table) {
  const [from, to] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (from < 0 || to < from) throw new Error('docs/coverage.md has no place for the table');
  return `${page.slice(0, from + BEGIN.length)}\n${table}\n${page.slice(to)}`;
}
