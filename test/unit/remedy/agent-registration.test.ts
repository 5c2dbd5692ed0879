import { remedyList, type WatchingAgent } from '../../../src/core/remedy-list.ts';
import { countAction, registerWithAgent, uniqueName } from '../../../src/remedy/agent-registration.ts';

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
});

test('actions are counted by name, and names are unique', () => {
  countAction('safeSend', 'dropped');
  countAction('safeSend', 'dropped');
  expect(remedyList().actions.get('safeSend dropped')).toBe(2);
  expect([uniqueName('Part'), uniqueName('Part'), uniqueName('Part')]).toEqual(['Part', 'Part 2', 'Part 3']);
});
