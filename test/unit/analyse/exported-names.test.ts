import { exportedNames, exportedNamesIn } from '../../../src/analyse/locate/exported-names.ts';
import { NO_SOURCES } from '../../../src/analyse/locate/sources.ts';

test.each([
  [
    'variables',
    'export const rooms = new Map();\nexport let last = 0;\nexport var first;',
    'first last rooms',
  ],
  [
    'functions',
    'export function join() {}\nexport async function leave() {}\nexport function* ids() {}',
    'ids join leave',
  ],
  [
    'classes, capitals first',
    'export const a = 1;\nexport class Hub {}\nexport abstract class Base {}',
    'Base Hub a',
  ],
  ['a list with other names outside', 'const a = 1, b = 2;\nexport { a, b as default };', 'a b'],
  ['a minified list', 'var e=new Map;export{e as rooms,t as count};', 'e t'],
  ['a default expression', 'export default new Map();\nexport const a = 1;', '.default a'],
  ['a default class with a name', 'export default class Hub {}', 'Hub'],
  ['a default class without a name', 'export default class extends Map {}', '.default'],
  [
    'an exported import is no variable',
    "import { a } from './a.js';\nexport { a };\nexport const b = 1;",
    'b',
  ],
  ['what another module exports', "export { a } from './a.js';\nexport * from './b.js';", ''],
  ['comments', '// export const a = 1;\n/* export class B {} */\nexport const c = 1;', 'c'],
  ['types', 'export interface A {}\nexport type B = 1;\nexport { type B as C };\nexport enum D { E }', 'D'],
])('%s', (_title, text, names) => {
  expect(exportedNames(text)).toEqual(names.split(' ').filter(Boolean));
});

test('each file is searched once, also one that is missing', () => {
  const reads: string[] = [];
  const text = (file: string): string | null => {
    reads.push(file);
    return file === 'a.js' ? 'export const a = 1;' : null;
  };
  const namesOf = exportedNamesIn({ ...NO_SOURCES, text });
  expect([namesOf('a.js'), namesOf('b.js'), namesOf('a.js'), namesOf('b.js')]).toEqual([
    ['a'],
    null,
    ['a'],
    null,
  ]);
  expect(reads).toEqual(['a.js', 'b.js']);
});
