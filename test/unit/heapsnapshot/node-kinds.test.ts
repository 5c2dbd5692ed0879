import { NodeKinds } from '../../../src/heapsnapshot/node-kinds.ts';

const OBJECT = 3;
const STRING = 2;

test('nodes of one type have one kind, objects have one for each class', () => {
  const nodes = new NodeKinds(OBJECT);
  nodes.add(STRING, 10, 0);
  nodes.add(STRING, 11, 0);
  nodes.add(OBJECT, 10, 0);
  nodes.add(OBJECT, 11, 0);
  nodes.add(OBJECT, 10, 0);
  const kinds = [0, 1, 2, 3, 4].map((node) => nodes.kindOf(node));
  expect(kinds[1]).toBe(kinds[0]);
  expect(kinds[4]).toBe(kinds[2]);
  expect(new Set(kinds).size).toBe(3);
  expect(nodes.kindOfType(STRING)).toBe(kinds[0]);
  expect(nodes.kindOfType(OBJECT)).toBeNull();
  expect(nodes.length).toBe(5);
});

test('keeps the number of edges of each node, also over the bound of a byte and over blocks', () => {
  const nodes = new NodeKinds(OBJECT);
  const edgesOf = (node: number): number => [0, 254, 255, 256, 70_000][node % 5]!;
  for (let node = 0; node < 200_000; node += 1) nodes.add(STRING, 0, edgesOf(node));
  const wrong = Array.from({ length: 200_000 }, (_, node) => node).filter(
    (node) => nodes.edgesOf(node) !== edgesOf(node),
  );
  expect(wrong).toEqual([]);
});

test('tells more kinds apart than fit into 16 bits', () => {
  const nodes = new NodeKinds(OBJECT);
  for (let name = 0; name < 150_000; name += 1) nodes.add(OBJECT, name, 0);
  for (let name = 0; name < 150_000; name += 1) nodes.add(OBJECT, name, 0);
  const kinds = Array.from({ length: 300_000 }, (_, node) => nodes.kindOf(node));
  expect(new Set(kinds).size).toBe(150_000);
  expect(kinds.slice(150_000)).toEqual(kinds.slice(0, 150_000));
});

test('a node that does not exist has a kind of its own and no edges', () => {
  const nodes = new NodeKinds(OBJECT);
  nodes.add(STRING, 0, 1);
  expect(nodes.kindOf(1 << 20)).toBe(-1);
  expect(nodes.kindOf(0.5)).toBe(nodes.kindOf(0));
  expect(nodes.edgesOf(1 << 20)).toBe(0);
});
