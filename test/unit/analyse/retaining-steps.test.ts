import type { PathStep } from '../../../src/analyse/verdict/example-entry.ts';
import { markSuspectReferences } from '../../../src/analyse/verdict/retaining-steps.ts';

const LETTERS = { n: 'not-leaking', u: 'unknown', l: 'leaking' } as const;
/** `nul` -> the states after narrowing, and the places of the suspect references. */
function narrowed(states: string): string {
  const steps = states.split('').map((letter, at): PathStep => {
    return { text: `s${at}`, is: 'Object', state: LETTERS[letter as 'n'], because: null };
  });
  const all = markSuspectReferences(steps);
  const letters = all.map(({ state }) => state[0]).join('');
  return `${letters} ${all.map(({ isSuspect }) => (isSuspect ? '~' : '-')).join('')}`;
}

test.each([
  ['nul', 'nul -~~'],
  ['nl', 'nl -~'],
  ['unuulu', 'nnuull --~~~-'],
  // No step is leaking: the leak starts somewhere below the last step that is not leaking.
  ['nuu', 'nuu -~~'],
  ['uu', 'uu -~'],
  ['uul', 'uul -~~'],
  // A step that is not leaking decides the state of all steps above it.
  ['nlnul', 'nnnul ---~~'],
  ['nn', 'nn --'],
  ['l', 'l -'],
  ['', ' '],
])('%s: %s', (states, expected) => {
  expect(narrowed(states)).toBe(expected);
});

test('a state that follows from another step says from which', () => {
  const steps = ['u', 'n', 'l', 'u'].map((letter, at): PathStep => {
    return {
      text: `s${at}`,
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
