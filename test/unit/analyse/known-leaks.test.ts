import { findKnownLeak, growthByDesign, isBelow } from '../../../src/analyse/verdict/known-leaks.ts';

test.each([
  ['1.0.30', '1.0.31', true],
  ['1.0.31', '1.0.31', false],
  ['4.10.0', '4.5.2', false],
  ['1.0.0-beta.16', '1.0.0-beta.17', true],
  ['1.0.0-beta.17', '1.0.0-beta.17', false],
  ['1.0.0-beta.9', '1.0.0', true],
  ['1.0.0', '1.0.0-beta.17', false],
  ['0.17.1', '0.17.2', true],
])('version %s is below %s: %s', (version, limit, below) => {
  expect(isBelow(version, limit)).toBe(below);
});

const ROOMS = [{ className: 'Adapter', field: 'rooms' }];

test('a known leak needs the field and a version with the leak', () => {
  expect(findKnownLeak(ROOMS, new Map([['socket.io', ['4.5.1']]]))).toMatchObject({
    id: 'socket.io-join-after-disconnect',
    range: '<4.5.2',
  });
  expect(findKnownLeak(ROOMS, new Map([['socket.io', ['4.7.0', '4.5.1']]]))).not.toBeNull();
  expect(findKnownLeak(ROOMS, new Map([['socket.io', ['4.5.2']]]))).toBeNull();
  expect(findKnownLeak(ROOMS, new Map())).toBeNull();
  expect(
    findKnownLeak([{ className: 'Hub', field: 'rooms' }], new Map([['socket.io', ['4.5.1']]])),
  ).toBeNull();
});

test('growth by design needs the package too', () => {
  const meta = [{ className: 'Awareness', field: 'meta' }];
  expect(growthByDesign(meta, new Map([['y-protocols', ['1.0.5']]]))).toContain('y-protocols');
  expect(growthByDesign(meta, new Map())).toBeNull();
});
