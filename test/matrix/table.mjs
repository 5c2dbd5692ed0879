// The table of docs/coverage.md, made from the cells of the coverage matrix.
import { PACKAGINGS } from './packagings.mjs';

const BEGIN = '<!-- measured:matrix -->';
const END = '<!-- /measured -->';

/** One row for each server, one column for each packaging; a cell has the Nodes on which the counts were right. */
export function coverageTable(cells) {
  const majors = [...new Set(cells.map(({ major }) => major))];
  const versions = [...new Set(cells.map(({ node }) => node))].length;
  const packagings = Object.keys(PACKAGINGS).filter((name) =>
    cells.some(({ packaging }) => packaging === name),
  );
  const servers = [...new Set(cells.map(({ server }) => server))];
  const rows = servers.map((server) => {
    const of = packagings.map((name) =>
      cellText(cells.filter((cell) => cell.server === server && cell.packaging === name)),
    );
    const counted =
      server.transport === null ? `not counted; the start line says so` : `\`${server.transport}\``;
    return `| ${server.title} | ${counted} | ${of.join(' | ')} |`;
  });
  const right = cells.filter(({ reason }) => reason === null).length;
  const date = new Date().toISOString().slice(0, 10);
  return [
    `\`npm run matrix -- --nodes ${majors.join(',')} --write\`, ${date}, ${versions} releases of Node: ${right} of ${cells.length} right.`,
    '',
    `| server | counted as | ${packagings.join(' | ')} |`,
    `|${'---|'.repeat(packagings.length + 2)}`,
    ...rows,
  ].join('\n');
}

function cellText(cells) {
  const list = (isRight) =>
    cells.filter(({ reason }) => (reason === null) === isRight).map(({ major }) => major);
  const [right, wrong] = [list(true), list(false)];
  if (wrong.length === 0) return right.join(' ');
  return `${right.join(' ')} **wrong: ${wrong.join(' ')}**`.trim();
}

export function fillCoverage(page, table) {
  const [from, to] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (from < 0 || to < from) throw new Error('docs/coverage.md has no place for the table');
  return `${page.slice(0, from + BEGIN.length)}\n${table}\n${page.slice(to)}`;
}
