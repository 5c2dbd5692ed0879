/** Finds the line that puts entries into a container, by the container's name in the source. */

export interface Spot {
  /** From 1. */
  readonly line: number;
  readonly column: number;
}

const COMMENT_OR_STRING = /\/\*[\s\S]*?\*\/|(?<![:\\])\/\/[^\n]*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g;
/** Calls that add, by what people name them; `splice` with two arguments only takes away. */
const ADDING =
  '(?:(?:set|add|push|unshift|append|enqueue|on|addListener|prependListener|once|subscribe|pipe|addEventListener)\\s*\\(|splice\\s*\\([^,)\\n]*,[^,)\\n]*,)';
/** Functions that put listeners on what they are given first. */
const LISTENING = 'on|once|finished|pipeline|addAbortListener';
const MOST_NAMES = 8;

export const isName = (name: string): boolean => /^#?[A-Za-z_$][\w$]*$/.test(name) || SYMBOL.test(name);
const SYMBOL = /^<symbol (\w{2,40})>$/;

/** Comments and the inside of strings as blanks; every line and column stays where it was. */
export const maskComments = (text: string): string =>
  text.replace(COMMENT_OR_STRING, (match) => match.replace(/[^\n'"]/g, ' '));

/**
 * Of several lines the first one at or behind `from` wins, which is where the function that sees the container begins.
 * `inside`: not the container of that name is meant but one that is kept so many levels deep in it.
 */
export function findAddLine(text: string, name: string, from: Spot | null = null, inside = 0): Spot | null {
  if (!isName(name)) return null;
  const code = maskComments(text);
  const start = startOf(text, name);
  const added = addingTo(start);
  const inner = inside === 0 ? null : addingInside(code, start, inside);
  if (inner !== null) return inner;
  const patterns = [
    ...(inside === 0 ? [] : [added[2]!]),
    ...added,
    `(?<![\\w$.])(?:(?:${LISTENING})|of\\s+[\\w$.]+)\\s*\\(\\s*(?:this\\s*\\.\\s*)?${start}`,
    // Where nothing is seen to add, the line that makes it.
    `${start}\\s*=(?![=>])`,
  ];
  for (const pattern of patterns) {
    const found = [...code.matchAll(new RegExp(pattern, 'g'))].map((match) => spotAt(code, match.index));
    if (found.length > 0) return nearest(found, from);
  }
  return null;
}

const wordPattern = (name: string): string => `(?<![\\w$#])${name.replace(/[$]/g, '\\$&')}(?![\\w$])`;

/** A field under a symbol: by the variable that the symbol is in, else by a name like its description, `[kFree]`. */
function startOf(text: string, name: string): string {
  const symbol = SYMBOL.exec(name)?.[1];
  if (symbol === undefined) return wordPattern(name);
  const made = new RegExp(`([\\w$]+)\\s*=\\s*Symbol(?:\\.for)?\\(\\s*['"\`]${symbol}['"\`]`).exec(text)?.[1];
  const alike = symbol
    .split('')
    .map((letter) => `[${letter.toLowerCase()}${letter.toUpperCase()}]`)
    .join('');
  return `\\[\\s*[\\w$.]*${made === undefined ? alike : made.replace(/[$]/g, '\\$&')}\\s*\\]`;
}

const addingTo = (start: string): string[] => [
  `${start}\\s*[?!]?\\.?\\s*(?:\\[[^\\]\\n]{1,80}\\]\\s*)?[?!]?\\.\\s*${ADDING}`,
  `${start}\\s*(?:\\[[^\\]\\n]{1,80}\\]\\s*){1,2}(?:\\|\\||\\?\\?|\\+|&&)?=(?!=)`,
  `${start}\\s*\\.\\s*get\\s*\\([^)\\n]{0,80}\\)\\s*[?!]?\\.?\\s*\\.?${ADDING}`,
  `${start}(?:\\s*\\.\\s*\\w+)?\\s*(?:\\+=|=(?!=)[^=\\n;]{0,80}(?:\\.concat\\s*\\(|\\.{3}))`,
];

interface Inner {
  readonly start: string;
  readonly index: number;
}

/** Behind the place where the code gives a name to what it takes out: `members = rooms.get(id)`, `shard = shards[n % 8]`. */
function addingInside(code: string, outer: string, levels: number): Spot | null {
  let names: readonly Inner[] = [{ start: outer, index: 0 }];
  for (let level = 0; level < levels; level++) names = names.flatMap((name) => takenFrom(code, name));
  for (const { start, index } of names) {
    const scope = code.slice(index, index + SCOPE_CHARACTERS);
    for (const pattern of addingTo(start)) {
      const found = new RegExp(pattern).exec(scope);
      if (found !== null) return spotAt(code, index + found.index);
    }
  }
  return null;
}
const SCOPE_CHARACTERS = 2000;

function takenFrom(code: string, { start, index }: Inner): Inner[] {
  const taken = `(?<![\\w$.])([A-Za-z_$][\\w$]*)\\s*=(?![=>])[^=;\\n]{0,80}?${start}\\s*(?:[?!]?\\.\\s*get\\s*\\(|\\[)`;
  return [...code.slice(index).matchAll(new RegExp(taken, 'g'))]
    .slice(0, MOST_NAMES)
    .map((match) => ({ start: wordPattern(match[1]!), index: index + match.index }));
}

function nearest(found: readonly Spot[], from: Spot | null): Spot {
  if (from === null) return found[0]!;
  const isBehind = (spot: Spot): boolean =>
    spot.line > from.line || (spot.line === from.line && spot.column >= from.column);
  return found.find(isBehind) ?? found[0]!;
}

/**
 * Functions stand where they stand in the code that ran. Where that was transpiled in memory, the file on the disk has
 * another order of lines, and a function that is named only behind the line is not the one around it.
 */
export function isNamedBefore(text: string, name: string, line: number): boolean {
  const word = /[\w$#]+$/.exec(name)?.[0];
  if (word === undefined) return false;
  return text.split('\n', line).some((before) => before.split(/[^\w$#]+/).includes(word));
}

export function spotAt(text: string, index: number): Spot {
  const before = text.lastIndexOf('\n', index - 1);
  let line = 1;
  for (let at = text.indexOf('\n'); at >= 0 && at < index; at = text.indexOf('\n', at + 1)) line++;
  return { line, column: index - before };
}
