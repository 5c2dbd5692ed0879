/** The rules of redaction, pure: which strings of a snapshot are names, and which names may be read. */

import type { RewriteRules } from '../heapsnapshot/rewrite.ts';
import { USE } from '../heapsnapshot/uses.ts';
import { isRandomWord } from './random-words.ts';

/** Their names are data: the text itself, or a pattern that may be built from it. */
const VALUE_NODES = new Set(['string', 'concatenated string', 'sliced string', 'regexp']);
/** Their names are given at run time: a class by `name` or `Symbol.toStringTag`, a symbol by its description. */
const GIVEN_NODES = new Set(['object', 'symbol', 'bigint']);

const DICTIONARY_KEYS = 16;
/** A module's exports and a class's methods are functions under their names; listeners by event name are too. */
const DICTIONARY_KEYS_OF_FUNCTIONS = 64;
const SAME_KIND_SHARE = 0.8;
/** Rows of a table come in hundreds; dictionaries with the very same keys (subscribers by topic) in tens. */
const SHAPE_COUNT = 64;

const MAX_NAME_LENGTH = 80;
/** `sha256` and `x509`, but no year, no postcode, no number of a customer. */
const MAX_DIGITS = 3;

/** `get size`, `#private`, `content-type`, `user:join`, `Symbol.iterator`; no spaces, quotes, `@`, `=`, `?`, `%`. */
const NAME = /^(?:[gs]et )?[#$\p{L}_][\p{L}\p{N}_$]*(?:[-.:/][$\p{L}\p{N}_]+)*$/u;
/** `user:421`, `room.7`: whatever the word says, the number is of someone. */
const NUMBERED = /[:/.]\p{N}+(?=[-.:/]|$)/u;
const SYMBOL = /^<symbol (.*)>$/s;
/** A class may carry what V8 adds to it: `global (global*)`. */
const DECORATED = /^([\w$]+)((?: \([\w$*]*\))?)$/;
/** Names that V8 and Node give to objects of their own, spaces and all; `system / Context` is on every path. */
const BUILT_IN =
  /^(?:(?:system|Node) \/ [\w:<>, ()*&~-]+|(?:[\w-]+ )+(?:Iterator|Helper)|<symbol>|\([a-z -]+\))$/;

export function isReadableName(text: string): boolean {
  if (text.length > MAX_NAME_LENGTH || !NAME.test(text) || NUMBERED.test(text)) return false;
  if ((text.match(/\p{N}/gu)?.length ?? 0) > MAX_DIGITS) return false;
  return !text.split(/[-.:/_ #$]/).some(isRandomWord);
}

/** An ephemeron's edge says both names: `5 / part of key (A @1) -> value (B @3) pair in WeakMap (table @4)`. */
const EPHEMERON = /^(.*part of key \()(.*)( @\d+\) -> value \()(.*)( @\d+\) pair in .*)$/s;

/** Modules are named by their URL: of `file:///srv/app.mjs?token=…` the path is needed, of `data:` nothing is. */
const QUERY = /\b((?:file|https?|wss?|blob):[^\s?#]*)[?#]\S*/g;
const CREDENTIALS = /\b((?:https?|wss?):\/\/)[^\s/@]*@/g;
const DATA_URL = /\bdata:[^,\s]*,.*$/s;

function fixedName(text: string): string {
  const parts = EPHEMERON.exec(text)?.slice(1);
  if (parts === undefined)
    return text.replace(DATA_URL, 'data:masked').replace(QUERY, '$1').replace(CREDENTIALS, '$1masked@');
  return parts.map((part, at) => (at % 2 === 0 || givenName(part) !== null ? part : 'masked')).join('');
}

function givenName(text: string): string | null {
  const symbol = SYMBOL.exec(text)?.[1];
  if (symbol !== undefined) return isReadableName(symbol) ? text : '<symbol masked>';
  const bare = DECORATED.exec(text)?.[1] ?? text;
  return text === '' || BUILT_IN.test(text) || isReadableName(bare) ? text : null;
}

export const REDACTION_RULES: RewriteRules = {
  nodeName: (type) => (VALUE_NODES.has(type) ? 0 : GIVEN_NODES.has(type) ? USE.given : USE.fixed),
  edgeName: (type) => (type === 'property' ? USE.given : USE.fixed),
  isDictionary: (keys, sameKind, ofFunctions) =>
    keys >= (ofFunctions ? DICTIONARY_KEYS_OF_FUNCTIONS : DICTIONARY_KEYS) &&
    sameKind >= keys * SAME_KIND_SHARE,
  shapeCount: SHAPE_COUNT,
  name: (text, use) => ((use & USE.fixed) === 0 ? givenName(text) : fixedName(text)),
};
