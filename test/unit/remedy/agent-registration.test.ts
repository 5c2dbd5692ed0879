import {
  countAction,
  recordFanoutLag,
  registerWithAgent,
  remedyList,
  uniqueName,
  type WatchingAgent,
} from '../../../src/remedy/agent-registration.ts';

afterEach(() => {
  remedyList().parts.clear();
  remedyList().agent = null;
});

const agent = {} as WatchingAgent;

test('a part that is made before the agent waits in the list; one that is made after is attached at once', () => {
  const attached: unknown[] = [];
  registerWithAgent((to) => (attached.push(to), () => undefined));
  expect([attached, remedyList().parts.size]).toEqual([[], 1]);
  remedyList().agent = agent;
  registerWithAgent((to) => (attached.push(to), () => undefined));
  expect(attached).toEqual([agent]);
});

test('dispose ends the registration with the agent', () => {
  remedyList().agent = agent;
  let disposed = 0;
  const dispose = registerWithAgent(() => () => (disposed += 1));
  dispose();
  dispose();
  expect([disposed, remedyList().parts.size]).toEqual([1, 0]);
});

test('the list is bounded', () => {
  for (let n = 0; n < 1_100; n += 1) registerWithAgent(() => () => undefined);
  expect(remedyList().parts.size).toBe(1_000);
  for (let n = 0; n < 1_100; n += 1) recordFanoutLag(n);
  expect(remedyList().fanoutLagsMs).toHaveLength(1_000);
  expect(remedyList().fanoutLagsMs.at(-1)).toBe(1_099);
});

test('actions are counted by name, and names are unique', () => {
  countAction('safeSend', 'dropped');
  countAction('safeSend', 'dropped');
  expect(remedyList().actions.get('safeSend dropped')).toBe(2);
  expect([uniqueName('Part'), uniqueName('Part'), uniqueName('Part')]).toEqual(['Part', 'Part 2', 'Part 3']);
});
