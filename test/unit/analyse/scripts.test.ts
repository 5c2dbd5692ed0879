import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { AGENT_FILES, Scripts, isPackageFile, isUserFile } from '../../../src/analyse/graph/scripts.ts';
import { heapOf } from '../../support/heap-of.ts';
import { HeapSnapshotBuilder } from '../../support/heap-snapshot-builder.ts';

/** One function for each script, at line 3 and column 5. */
function scriptsOf(names: readonly string[], scriptEdge = 'script'): { scripts: Scripts; nodes: number[] } {
  const builder = new HeapSnapshotBuilder();
  const root = builder.node('synthetic', '');
  const nodes = names.map((name, index) => {
    const closure = builder.node('closure', `function${index}`);
    const shared = builder.node('code', 'shared');
    const script = builder.node('code', 'system / Script');
    const file = builder.node('string', name);
    builder.edge(root, 'element', index, closure).edge(closure, 'internal', 'shared', shared);
    builder.edge(shared, 'internal', scriptEdge, script).edge(script, 'internal', 'name', file);
    builder.locate(closure, 100 + index, 2, 4);
    return closure;
  });
  return { scripts: new Scripts(heapOf(builder)), nodes };
}

test('the files by which the agent is recognised exist', () => {
  const src = join(__dirname, '..', '..', '..', 'src');
  expect(AGENT_FILES.filter((name) => !existsSync(join(src, `${name}.ts`)))).toEqual([]);
});

test.each([
  ['/app/node_modules/@wsguard/agent/dist/', '/', '.js'],
  ['C:\\app\\agent\\dist\\', '\\', '.js'],
  ['/checkout/src/', '/', '.ts'],
])('the files of the agent in %s', (folder, separator, ending) => {
  const files = AGENT_FILES.map((name) => `${folder}${name.replaceAll('/', separator)}${ending}`);
  const { scripts } = scriptsOf([...files, '/app/server.js']);
  expect(scripts.isAgentFile(files[0]!)).toBe(true);
  expect(scripts.isAgentFile(`${folder}core${separator}ring${ending}`)).toBe(true);
  expect(scripts.isAgentFile('/app/server.js')).toBe(false);
});

test('without all of these files no file belongs to the agent', () => {
  const file = `/app/hooks/preload-hooks.js`;
  expect(scriptsOf([file, '/app/core/guard.js']).scripts.isAgentFile(file)).toBe(false);
});

test.each(['script', 'script_or_debug_info'])('positions from 1, by the edge %s', (edge) => {
  const { scripts, nodes } = scriptsOf(['/app/server.js', 'node:events', 'file:///app/a%20b.mjs?v=1'], edge);
  const position = { line: 3, column: 5 };
  expect(nodes.map((node) => scripts.position(node))).toEqual([
    { file: '/app/server.js', function: 'function0', ...position },
    { file: 'node:events', function: 'function1', ...position },
    { file: '/app/a b.mjs', function: 'function2', ...position },
  ]);
  expect(scripts.userPosition(nodes[1]!)).toBeNull();
  expect(scripts.position(0)).toBeNull();
  expect(scripts.userFiles()).toEqual(['/app/server.js', '/app/a b.mjs']);
});

test('the function at a position is the last one that begins before it', () => {
  const { scripts } = scriptsOf(['/app/server.js']);
  expect(scripts.functionAt('/app/server.js', 3, 5)).toBe('function0');
  expect(scripts.functionAt('/app/server.js', 9, 1)).toBe('function0');
  expect(scripts.functionAt('/app/server.js', 3, 4)).toBeNull();
  expect(scripts.functionAt('/app/other.js', 9, 1)).toBeNull();
});

test.each([
  ['/app/server.js', true, false],
  ['/app/node_modules/ws/index.js', true, true],
  ['node:net', false, false],
  ['evalmachine.<anonymous>', false, false],
])('%s: user file %s, package file %s', (file, isUser, isPackage) => {
  expect([isUserFile(file), isPackageFile(file)]).toEqual([isUser, isPackage]);
});
