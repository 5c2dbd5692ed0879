import { noChildReason } from '../../../src/core/child-support.ts';

const processFields = process as unknown as Record<string, unknown>;
const undo: (() => void)[] = [];
function setField(name: string, value: unknown): void {
  processFields[name] = value;
  undo.push(() => delete processFields[name]);
}
afterEach(() => {
  for (const step of undo.splice(0)) step();
});

test('this Node may start children', () => {
  expect(noChildReason()).toBeNull();
});

test('a single executable may not', () => {
  expect(noChildReason(() => true)).toMatch(/single executable/);
  setField('pkg', { entrypoint: 'x' });
  expect(noChildReason()).toMatch(/single executable/);
});

test('not under --permission without --allow-child-process', () => {
  setField('permission', { has: (scope: string) => scope !== 'child' });
  expect(noChildReason()).toMatch(/--allow-child-process/);
});
