import { isName, maskComments, spotAt } from './add-line.ts';
import type { Spot } from './add-line.ts';

/** How far behind the comparison the eviction may stand. */
const NEAR_CHARACTERS = 240;

/**
 * Does the code compare the size of this container with something and take entries out right there? Then it fills up
 * to a bound, as a cache does. A comparison alone is no bound: it may only refuse, or warn.
 */
export function findBound(text: string, name: string): Spot | null {
  if (!isName(name)) return null;
  const code = maskComments(text);
  const escaped = name.replace(/[$]/g, '\\$&');
  const comparison = new RegExp(`(?<![\\w$#])${escaped}\\s*\\.\\s*(?:size|length)\\s*(?:>=?|={2,3})`, 'g');
  const removal = new RegExp(
    `(?<![\\w$#])${escaped}\\s*\\.\\s*(?:delete|shift|pop|splice|clear)\\s*\\(|(?<![\\w$#])${escaped}\\s*\\.\\s*length\\s*=(?!=)`,
  );
  for (const { index } of code.matchAll(comparison)) {
    if (removal.test(code.slice(index, index + NEAR_CHARACTERS))) return spotAt(code, index);
  }
  return null;
}
