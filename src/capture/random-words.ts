/** Does a word look drawn at random (a token, an id, a hash) rather than made of words? Pure. */

/**
 * Which letters follow which in names: pairs that are at least one in two thousand of the property and class names of
 * Node and of a dozen packages (23,592 names, each word counted once).
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
const RARE_SHARE = 0.3;
/** Shorter words are not judged by their pairs: too few of them. */
const MIN_LENGTH = 8;
const MIN_LENGTH_OF_PIECES = 10;
/** `listenerCount` falls into pieces of six letters, a random token into pieces of two. */
const MIN_PIECE = 2.5;

const PIECES = /\p{Lu}+(?!\p{Ll})|\p{Lu}?\p{Ll}+|\p{N}+/gu;
/** With a digit in it from 8 on; from 16 on without one too. */
const HEX = /^(?:(?=.*\d)[\da-f]{8,}|[\da-f]{16,})$/i;

export function isRandomWord(word: string): boolean {
  if (HEX.test(word)) return true;
  if (word.length < MIN_LENGTH) return false;
  const pieces = word.match(PIECES)?.length ?? 1;
  if (word.length >= MIN_LENGTH_OF_PIECES && word.length < MIN_PIECE * pieces) return true;
  return rareShare(word) > RARE_SHARE;
}

/** Of the pairs of letters inside words, how many no name has; where a new word begins any pair is fine. */
function rareShare(word: string): number {
  const letters = word.replaceAll(/[^A-Za-z]/g, '');
  let rare = 0;
  for (let at = 1; at < letters.length; at += 1) {
    const [before, letter] = [letters[at - 1] ?? '', letters[at] ?? ''];
    const begins = before >= 'a' && letter < 'a';
    if (!begins && FOLLOWERS[before.toLowerCase()]?.includes(letter.toLowerCase()) !== true) rare += 1;
  }
  return letters.length < 2 ? 0 : rare / (letters.length - 1);
}
