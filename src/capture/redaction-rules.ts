/** The rules of redaction: which strings of a snapshot are names, and which of these stay readable. Pure. */

import type { RewriteRules } from '../heapsnapshot/rewriter.ts';
import { USE } from '../heapsnapshot/string-uses.ts';
import { isRandomWord } from './is-random-word.ts';

/** The name of such a node is data: the text itself, or a pattern that may be made of it. */
const VALUE_NODES = new Set(['string', 'concatenated string', 'sliced string', 'regexp']);
/** The name of such a node is set at run time: by a class's `name`, `Symbol.toStringTag` or a symbol's description. */
const RUNTIME_NAME_NODES = new Set(['object', 'symbol', 'bigint']);

/** Chosen: an object with fewer keys has fields, whatever it looks like. */
const MIN_DICTIONARY_KEYS = 16;
/** Higher for functions, because exports of a module, methods of a class and listeners by event are functions by name. */
const MIN_DICTIONARY_KEYS_OF_FUNCTIONS = 64;
/** Chosen: the share of values of one kind in a dictionary. */
const MIN_SAME_KIND_SHARE = 0.8;
/** Chosen: rows of a table come in hundreds, dictionaries with equal keys (subscribers by topic) in tens. */
const SHAPE_COUNT = 64;

const MAX_NAME_LENGTH = 80;
/** Allows `sha256` and `x509`, but no year, postcode or customer number. */
const MAX_DIGITS = 3;

/** Allows `get size`, `#private`, `content-type`, `user:join` and `Symbol.iterator`; no quotes, `@`, `=`, `?`, `%`. */
const NAME = /^(?:[gs]et )?[#$\p{L}_][\p{L}\p{N}_$]*(?:[-.:/][$\p{L}\p{N}_]+)*$/u;
/** In `user:421` or `room.7` the number identifies somebody. */
const NUMBERED = /[:/.]\p{N}+(?=[-.:/]|$)/u;
const SYMBOL = /^<symbol (.*)>$/s;
/** V8 appends a note to some class names: `global (global*)`. */
const DECORATED = /^([\w$]+)((?: \([\w$*]*\))?)$/;
/** Names that V8 and Node give to their own objects. `system / Context` is on every retaining path. */
const BUILT_IN =
  /^(?:(?:system|Node) \/ [\w:<>, ()*&~-]+|(?:[\w-]+ )+(?:Iterator|Helper)|<symbol>|\([a-z -]+\))$/;

/** A field, class, function or event name of source text stays readable; everything that may identify data does not. */
export function isReadableName(text: string): boolean {
  if (text.length > MAX_NAME_LENGTH || !NAME.test(text) || NUMBERED.test(text)) return false;
  if ((text.match(/\p{N}/gu)?.length ?? 0) > MAX_DIGITS) return false;
  return !text.split(/[-.:/_ #$]/).some(isRandomWord);
}

/** The edge of a WeakMap entry has two names: `5 / part of key (A @1) -> value (B @3) pair in WeakMap (table @4)`. */
const EPHEMERON = /^(.*part of key \()(.*)( @\d+\) -> value \()(.*)( @\d+\) pair in .*)$/s;

/** Scripts are named by their URL. The analysis needs the path of `file:///srv/app.mjs?token=…`, nothing of `data:`. */
const QUERY = /\b((?:file|https?|wss?|blob):[^\s?#]*)[?#]\S*/g;
const CREDENTIALS = /\b((?:https?|wss?):\/\/)[^\s/@]*@/g;
const DATA_URL = /\bdata:[^,\s]*,.*$/s;

/** A word of V8, Node or the source text. */
function fixedName(text: string): string {
  const parts = EPHEMERON.exec(text)?.slice(1);
  if (parts === undefined)
    return text.replace(DATA_URL, 'data:masked').replace(QUERY, '$1').replace(CREDENTIALS, '$1masked@');
  return parts
    .map((part, index) => (index % 2 === 0 || runtimeName(part) !== null ? part : 'masked'))
    .join('');
}

/** A name that was set at run time; null masks it. */
function runtimeName(text: string): string | null {
  const symbol = SYMBOL.exec(text)?.[1];
  if (symbol !== undefined) return isReadableName(symbol) ? text : '<symbol masked>';
  const bare = DECORATED.exec(text)?.[1] ?? text;
  return text === '' || BUILT_IN.test(text) || isReadableName(bare) ? text : null;
}

/** For `heapsnapshot/rewriter.ts`. */
export const REDACTION_RULES: RewriteRules = {
  nodeName: (type) => (VALUE_NODES.has(type) ? 0 : RUNTIME_NAME_NODES.has(type) ? USE.given : USE.fixed),
  edgeName: (type) => (type === 'property' ? USE.given : USE.fixed),
  isDictionary: (keys, sameKind, ofFunctions) =>
    keys >= (ofFunctions ? MIN_DICTIONARY_KEYS_OF_FUNCTIONS : MIN_DICTIONARY_KEYS) &&
    sameKind >= keys * MIN_SAME_KIND_SHARE,
  shapeCount: SHAPE_COUNT,
  name: (text, use) => ((use & USE.fixed) === 0 ? runtimeName(text) : fixedName(text)),
};
