/** `exportedNames`: the variables that the source of an ES module exports, in the order of V8's array of exports. */
import { cached } from '../../core/cached.ts';
import type { ExportedNames } from '../graph/exported-variables.ts';
import { maskComments } from './pattern-search.ts';
import type { Sources } from './sources.ts';

const DECLARATION =
  /(?<![\w$.])export\s+(?:async\s+)?(?:function\s*\*?|(?:abstract\s+)?class|(?:const\s+)?enum|const|let|var)\s*(?<=[\s*])([\w$]+)/g;
const NAMED_DEFAULT =
  /(?<![\w$.])export\s+default\s+(?:async\s+)?(?:function\s*\*?|class)\s*(?<=[\s*])(?!extends\b)([\w$]+)/g;
const ANY_DEFAULT = /(?<![\w$.])export\s+default\b/;
const LIST = /(?<![\w$.])export\s*\{([^}]*)\}(?!\s*from\b)/g;
const IMPORTS = /(?<![\w$.])import\s+(?!type\b)([^'"();]*?)\s*from\b/g;
/** V8's name for an exported expression. */
const DEFAULT_NAME = '.default';

/** Each file is searched once: a heap can have many of its variables. */
export function exportedNamesIn(sources: Sources): ExportedNames {
  return cached((file) => {
    const text = sources.text(file);
    return text === null ? null : exportedNames(text);
  });
}

/** Names inside the module, sorted as V8 sorts them. */
export function exportedNames(text: string): readonly string[] {
  const code = maskComments(text);
  const namedDefaults = [...code.matchAll(NAMED_DEFAULT)];
  const names = [...code.matchAll(DECLARATION), ...namedDefaults].map((match) => match[1]!);
  const lists = [...code.matchAll(LIST)].flatMap((match) => localNames(match[1]!));
  if (ANY_DEFAULT.test(code) && namedDefaults.length === 0) names.push(DEFAULT_NAME);
  // A module that passes an import on has no variable for it.
  const imported = new Set([...code.matchAll(IMPORTS)].flatMap((match) => match[1]!.match(/[\w$]+/g) ?? []));
  return [...new Set([...names, ...lists.filter((name) => !imported.has(name))])].sort(byCodeUnits);
}

/** `a as b, c` declares `a` and `c`. */
const localNames = (list: string): string[] =>
  list
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '' && !/^type\s/.test(each))
    .map((each) => /^[\w$]+/.exec(each)?.[0] ?? '');

const byCodeUnits = (a: string, b: string): number => (a < b ? -1 : Number(a > b));
