/** Distinguishes a random word (a token, an id, a hash) from one that is made of English words, as names are. Pure. */

/**
 * The letters that follow a letter in names: each pair is at least one in two thousand of all pairs in the property and
 * class names of Node and of a dozen packages (23,592 names, each word counted once).
 */
const FOLLOWERS: Readonly<Record<string, string>> = {
  a: 'bcdfgilmnprstuvwxy',
  b: 'aeijlorsuy',
  c: 'acehiklorstu',
  d: 'abdeilorsuy',
  e: 'abcdefglmnopqrstvwxy',
  f: 'aefiloru',
  g: 'aeghilrstu',
  h: 'aeiort',
  i: 'abcdefglmnoprstvz',
  j: 'es',
  k: 'eis',
  l: 'adeilostuvy',
  m: 'abeilmopsu',
  n: 'acdefgiknostuv',
  o: 'abcdfgiklmnoprstuvw',
  p: 'adeiloprstu',
  q: 'u',
  r: 'acdegiklmnorstuvy',
  s: 'acefhilopstuy',
  t: 'acehioprstuy',
  u: 'abcdefgilmnprst',
  v: 'aein',
  w: 'aeinors',
  x: 'ept',
  y: 'mnps',
  z: 'eo',
};
/** Chosen by test/unit/capture/redaction-rules.test.ts, which counts random tokens that pass as names. */
const MAX_RARE_SHARE = 0.3;
/** A shorter word has too few pairs of letters. */
const MIN_LENGTH = 8;
const MIN_LENGTH_FOR_PIECES = 10;
/** Mean letters per piece: `listenerCount` has pieces of six letters, a random token has pieces of two. */
const MIN_PIECE_LENGTH = 2.5;

const PIECES = /\p{Lu}+(?!\p{Ll})|\p{Lu}?\p{Ll}+|\p{N}+/gu;
/** Hexadecimal: at least 8 characters with a digit among them, or at least 16. */
const HEX = /^(?:(?=.*\d)[\da-f]{8,}|[\da-f]{16,})$/i;

export function isRandomWord(word: string): boolean {
  if (HEX.test(word)) return true;
  if (word.length < MIN_LENGTH) return false;
  const pieces = word.match(PIECES)?.length ?? 1;
  if (word.length >= MIN_LENGTH_FOR_PIECES && word.length < MIN_PIECE_LENGTH * pieces) return true;
  return rareShare(word) > MAX_RARE_SHARE;
}

/** The share of letter pairs that names do not have, 0 to 1. A pair at the start of a word in camel case may be any. */
function rareShare(word: string): number {
  const [first = '', ...rest] = word.replaceAll(/[^A-Za-z]/g, '');
  let before = first;
  let rare = 0;
  for (const letter of rest) {
    const startsWord = before >= 'a' && letter < 'a';
    const followers = FOLLOWERS[before.toLowerCase()] ?? '';
    if (!startsWord && !followers.includes(letter.toLowerCase())) rare += 1;
    before = letter;
  }
  return rest.length === 0 ? 0 : rare / rest.length;
}
