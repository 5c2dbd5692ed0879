/** Finds the line that puts entries into a container, by the container's name in the source. */

export interface Spot {
  /** From 1. */
  readonly line: number;
  readonly column: number;
}

const COMMENT_OR_STRING = /\/\*[\s\S]*?\*\/|(?<![:\\])\/\/[^\n]*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g;
/** Calls that add, by what people name them. */
const ADDING = 'set|add|push|unshift|append|enqueue|splice|on|addListener|prependListener|once|subscribe';

export const isName = (name: string): boolean => /^#?[A-Za-z_$][\w$]*$/.test(name);

/** Comments and the inside of strings as blanks; every line and column stays where it was. */
export const maskComments = (text: string): string =>
  text.replace(COMMENT_OR_STRING, (match) => match.replace(/[^\n'"]/g, ' '));

/** Of several lines the first one at or behind `from` wins, which is where the function that sees the container begins. */
export function findAddLine(text: string, name: string, from: Spot | null = null): Spot | null {
  if (!isName(name)) return null;
  const code = maskComments(text);
  const escaped = name.replace(/[$]/g, '\\$&');
  const start = `(?<![\\w$#])${escaped}(?![\\w$])`;
  const patterns = [
    `${start}\\s*[?!]?\\.?\\s*(?:\\[[^\\]\\n]{1,80}\\]\\s*)?[?!]?\\.\\s*(?:${ADDING})\\s*\\(`,
    `${start}\\s*(?:\\[[^\\]\\n]{1,80}\\]\\s*){1,2}(?:\\|\\||\\?\\?|\\+|&&)?=(?!=)`,
    `${start}\\s*\\.\\s*get\\s*\\([^)\\n]{0,80}\\)\\s*[?!]?\\.?\\s*\\.?(?:${ADDING})\\s*\\(`,
    `${start}(?:\\s*\\.\\s*\\w+)?\\s*(?:\\+=|=(?!=)[^=\\n;]{0,80}(?:\\.concat\\s*\\(|\\.{3}))`,
    // Where nothing is seen to add, the line that makes it.
    `${start}\\s*=(?![=>])`,
  ];
  for (const pattern of patterns) {
    const found = [...code.matchAll(new RegExp(pattern, 'g'))].map((match) => spotAt(code, match.index));
    if (found.length > 0) return nearest(found, from);
  }
  return null;
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
