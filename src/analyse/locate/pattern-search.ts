/** The same searches as `syntax-search.ts` by regular expressions, for text that has no syntax tree. */
import type { SourcePosition } from './sources.ts';
import { offsetAt } from './sources.ts';
import type { ContainerQuery } from './syntax-search.ts';

const COMMENT_OR_STRING = /\/\*[\s\S]*?\*\/|(?<![:\\])\/\/[^\n]*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g;
/** Calls that add entries. `splice` with two arguments only removes. */
const ADD_CALL =
  '(?:(?:set|add|push|unshift|append|enqueue|on|addListener|prependListener|once|subscribe|pipe|addEventListener)\\s*\\(|splice\\s*\\([^,)\\n]*,[^,)\\n]*,)';
/** Functions that add listeners to their first argument. */
const LISTENING_FUNCTIONS = 'on|once|finished|pipeline|addAbortListener';
const MAX_ALIASES = 8;
/** Length of the text after an alias in which it may stand for the container. */
const ALIAS_SCOPE_CHARACTERS = 2000;
/** Distance between a comparison of the size and the removal that belongs to it. */
const MAX_EVICTION_CHARACTERS = 240;

const SYMBOL = /^<symbol (\w{2,40})>$/;
/** Whether code can contain the name: false for keys such as `pages.home`. */
export const isSearchable = (name: string): boolean => /^#?[A-Za-z_$][\w$]*$/.test(name) || SYMBOL.test(name);

/** Replaces comments and the inside of strings by blanks. Lines and columns stay the same. */
export const maskComments = (text: string): string =>
  text.replace(COMMENT_OR_STRING, (match) => match.replace(/[^\n'"]/g, ' '));

/** The offset of the container's name in the code that adds an entry; else where the container is assigned; else null. */
export function findAdditionByPattern(
  text: string,
  { name, from, depth = 0, withCreation = true }: ContainerQuery,
): number | null {
  if (!isSearchable(name)) return null;
  const code = maskComments(text);
  const container = containerPattern(text, name);
  const additions = additionPatterns(container);
  const insideAddition = depth === 0 ? null : findInside(code, container, depth);
  if (insideAddition !== null) return insideAddition;
  const patterns = [
    ...(depth === 0 ? [] : [additions[2]!]),
    ...additions,
    `(?<![\\w$.])(?:(?:${LISTENING_FUNCTIONS})|of\\s+[\\w$.]+)\\s*\\(\\s*(?:this\\s*\\.\\s*)?${container}`,
    ...(withCreation ? [`${container}\\s*=(?![=>])`] : []),
  ];
  for (const pattern of patterns) {
    const offsets = [...code.matchAll(new RegExp(pattern, 'g'))].map(({ index }) => index);
    if (offsets.length > 0) return firstAfter(offsets, from == null ? -1 : offsetAt(text, from));
  }
  return null;
}

const wordPattern = (name: string): string => `(?<![\\w$#])${name.replace(/[$]/g, '\\$&')}(?![\\w$])`;

/** A symbol is searched by the variable that it is assigned to, else by a name that ends like its description. */
function containerPattern(text: string, name: string): string {
  const symbol = SYMBOL.exec(name)?.[1];
  if (symbol === undefined) return wordPattern(name);
  const assignment = new RegExp(`([\\w$]+)\\s*=\\s*Symbol(?:\\.for)?\\(\\s*['"\`]${symbol}['"\`]`);
  const variable = assignment.exec(text)?.[1];
  const anyCase = symbol
    .split('')
    .map((letter) => `[${letter.toLowerCase()}${letter.toUpperCase()}]`)
    .join('');
  return `\\[\\s*[\\w$.]*${variable === undefined ? anyCase : variable.replace(/[$]/g, '\\$&')}\\s*\\]`;
}

/** A call on the container or on an element of it, an assignment to an element, a call after `get`, a replaced value. */
const additionPatterns = (container: string): string[] => [
  `${container}\\s*[?!]?\\.?\\s*(?:\\[[^\\]\\n]{1,80}\\]\\s*)?[?!]?\\.\\s*${ADD_CALL}`,
  `${container}\\s*(?:\\[[^\\]\\n]{1,80}\\]\\s*){1,2}(?:\\|\\||\\?\\?|\\+|&&)?=(?!=)`,
  `${container}\\s*\\.\\s*get\\s*\\([^)\\n]{0,80}\\)\\s*[?!]?\\.?\\s*\\.?${ADD_CALL}`,
  `${container}(?:\\s*\\.\\s*\\w+)?\\s*(?:\\+=|=(?!=)[^=\\n;]{0,80}(?:\\.concat\\s*\\(|\\.{3}))`,
];

interface Alias {
  readonly pattern: string;
  readonly offset: number;
}

/** After an alias of an inner container: `members = rooms.get(id)`, `shard = shards[n % 8]`. */
function findInside(code: string, container: string, depth: number): number | null {
  let aliases: readonly Alias[] = [{ pattern: container, offset: 0 }];
  for (let level = 0; level < depth; level += 1) aliases = aliases.flatMap((alias) => aliasesOf(code, alias));
  for (const { pattern: alias, offset } of aliases) {
    const scope = code.slice(offset, offset + ALIAS_SCOPE_CHARACTERS);
    for (const pattern of additionPatterns(alias)) {
      const addition = new RegExp(pattern).exec(scope);
      if (addition !== null) return offset + addition.index;
    }
  }
  return null;
}

function aliasesOf(code: string, { pattern, offset }: Alias): Alias[] {
  const assignment = `(?<![\\w$.])([A-Za-z_$][\\w$]*)\\s*=(?![=>])[^=;\\n]{0,80}?${pattern}\\s*(?:[?!]?\\.\\s*get\\s*\\(|\\[)`;
  return [...code.slice(offset).matchAll(new RegExp(assignment, 'g'))]
    .slice(0, MAX_ALIASES)
    .map((match) => ({ pattern: wordPattern(match[1]!), offset: offset + match.index }));
}

const firstAfter = (offsets: readonly number[], from: number): number =>
  offsets.find((offset) => offset >= from) ?? offsets[0]!;

/** The offset of a comparison of the container's size that is followed by the removal of entries; else null. */
export function findEvictionByPattern(text: string, name: string): number | null {
  if (!isSearchable(name)) return null;
  const code = maskComments(text);
  const escaped = name.replace(/[$]/g, '\\$&');
  const comparison = new RegExp(
    `(?<![\\w$#])${escaped}\\s*\\.\\s*(?:size|length)\\s*(?:>=?|={2,3})(?![=\\s]*0\\b)`,
    'g',
  );
  const removal = new RegExp(
    `(?<![\\w$#])${escaped}\\s*\\.\\s*(?:delete|shift|pop|splice|clear)\\s*\\(|(?<![\\w$#])${escaped}\\s*(?:\\.\\s*length\\s*=(?!=)|=\\s*(?:new\\s+\\w+\\s*\\(\\s*\\)|\\[\\s*\\]|\\{\\s*\\}))`,
  );
  for (const { index } of code.matchAll(comparison)) {
    if (removal.test(code.slice(index, index + MAX_EVICTION_CHARACTERS))) return index;
  }
  return null;
}

/**
 * Whether the name of a function occurs before a line. Functions have the positions of the code that ran. When that was
 * transpiled in memory, the file on disk has other lines, and a function that is named only after a line cannot
 * contain it.
 */
export function isNamedBefore(text: string, name: string, { line }: SourcePosition): boolean {
  const word = /[\w$#]+$/.exec(name)?.[0];
  if (word === undefined) return false;
  return text.split('\n', line).some((before) => before.split(/[^\w$#]+/).includes(word));
}
