/** The states of a retaining path and its suspect references. */
import type { PathStep } from '../../../src/analyse/verdict/example-entry.ts';
import { markSuspectReferences } from '../../../src/analyse/verdict/retaining-steps.ts';

const LETTERS = { n: 'not-leaking', u: 'unknown', l: 'leaking' } as const;
/** `nul` -> the states of the marked path, and a tilde for each suspect reference. */
function marked(states: string): string {
  const steps = states.split('').map((letter, index): PathStep => {
    return { text: `s${index}`, is: 'Object', state: LETTERS[letter as 'n'], because: null };
  });
  const all = markSuspectReferences(steps);
  const letters = all.map(({ state }) => state[0]).join('');
  return `${letters} ${all.map(({ isSuspect }) => (isSuspect ? '~' : '-')).join('')}`;
}

test.each([
  ['nul', 'nul -~~'],
  ['nl', 'nl -~'],
  ['unuulu', 'nnuull --~~~-'],
  // Without a leaking object all references below the last good one are suspects.
  ['nuu', 'nuu -~~'],
  ['uu', 'uu -~'],
  ['uul', 'uul -~~'],
  // A good object makes all objects above it good.
  ['nlnul', 'nnnul ---~~'],
  ['nn', 'nn --'],
  ['l', 'l -'],
  ['', ' '],
])('%s: %s', (states, expected) => {
  expect(marked(states)).toBe(expected);
});

test('a state that follows from another step names that step', () => {
  const steps = ['u', 'n', 'l', 'u'].map((letter, index): PathStep => {
    return {
      text: `s${index}`,
      is: 'Object',
      state: LETTERS[letter as 'n'],
      because: letter === 'u' ? null : 'fact',
    };
  });
  expect(markSuspectReferences(steps).map(({ because }) => because)).toEqual([
    's1 is not leaking',
    'fact',
    'fact',
    's2 is leaking',
  ]);
});
