import { run } from '../../support/run.ts';

test.each([
  [3, /removeAllListeners\(\) on closed connections took the library's own close listener/],
  [0, /leaked per closed connection$|each closed one removes 0\.00$/],
])('the list of a library that grows, with %s stripped entries', (strippedEntries, title) => {
  const { opened, transitions } = run(40, (minute) => ({
    more: {
      registries: [
        {
          name: 'ws clients',
          entries: 500 + Math.round(10 * minute),
          source: 'found',
          ...(strippedEntries === 0 ? {} : { strippedEntries }),
        },
      ],
    },
  }));
  expect(opened).toEqual(['registry-growth']);
  expect(transitions[0]?.title).toMatch(title);
});
