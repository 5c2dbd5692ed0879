import { findAddLine, isNamedBefore } from '../../../src/analyse/locate/add-line.ts';
import { findBound } from '../../../src/analyse/locate/bounds.ts';
import { isBelow } from '../../../src/analyse/verdict/known.ts';

describe('the line that adds to a container', () => {
  const lineOf = (source: string, name: string): number | null => findAddLine(source, name)?.line ?? null;

  test.each([
    ['a Map', 'const clients = new Map();\nclients.set(id, ws);', 'clients', 2],
    ['a Set in a class', 'class Hub {\n  add(ws) {\n    this.clients.add(ws);\n  }\n}', 'clients', 3],
    ['a private field', 'class Hub {\n  #all = [];\n  add(x) { this.#all.push(x); }\n}', '#all', 3],
    ['a dictionary', 'const byId = {};\nfunction f(id, x) {\n  byId[id] = x;\n}', 'byId', 3],
    ['an inner Set', 'const rooms = new Map();\nrooms.get(room).add(ws);', 'rooms', 2],
    ['an array that is replaced', 'let log = [];\nlog = log.concat(line);', 'log', 2],
    ['what only takes away', 'const jobs = [];\njobs.splice(0, 10);\njobs.push(job);', 'jobs', 3],
    ['what puts in between', 'const jobs = [];\njobs.splice(0, 0, job);', 'jobs', 2],
    ['minified code', 'let t=new Map,n=1;function e(s){t.set(s.id,s)}', 't', 1],
    [
      'a field under a symbol',
      'const kFree = Symbol("free");\nthis[kFree].push(buffer);',
      '<symbol free>',
      2,
    ],
    ['a field under a renamed symbol', "const t=Symbol('free');\nthis[t].push(e)", '<symbol free>', 2],
    ['a stream that pipes', 'const source = open();\nsource.pipe(response);', 'source', 2],
    [
      'an emitter that is iterated',
      'const hub = make();\nfor await (const [m] of on(hub, "m")) f(m);',
      'hub',
      2,
    ],
    ['no line that adds: the one that makes it', 'let a = 1;\nconst pool = makePool();', 'pool', 2],
  ])('of %s', (_what, source, name, line) => {
    expect(lineOf(source, name)).toBe(line);
  });

  test('comments, strings and longer names are not it', () => {
    const source = [
      '// clients.set(1)',
      "log('clients.set(2)');",
      'myclients.set(3);',
      '/* clients.set(4)',
      '*/',
      'clients.set(5);',
    ].join('\n');
    expect(lineOf(source, 'clients')).toBe(6);
  });

  test('of several lines the first behind the function that sees the container', () => {
    const source = 'a.push(1);\nfunction late(a) {\n  a.push(2);\n}';
    expect(findAddLine(source, 'a', { line: 2, column: 1 })).toEqual({ line: 3, column: 3 });
  });

  test('of what lies inside it: by the name that the code gives to what it takes out', () => {
    const rooms = 'rooms.set(name, new Set());\nconst members = rooms.get(name);\nmembers.add(socket);';
    expect(findAddLine(rooms, 'rooms')?.line).toBe(1);
    expect(findAddLine(rooms, 'rooms', null, 1)?.line).toBe(3);
    const deeper = `let users = rooms.get(tenant);\nlet sockets = users.get(user);\nsockets.push(socket);`;
    expect(findAddLine(deeper, 'rooms', null, 2)?.line).toBe(3);
    expect(findAddLine('const shard = shards[n % 8];\nshard.push(n);', 'shards', null, 1)?.line).toBe(2);
    expect(findAddLine('a.set(1, new Map());\na.get(1).set(2, 3);', 'a', null, 1)?.line).toBe(2);
  });

  test('nothing where nothing is', () => {
    expect(lineOf('clients.delete(1); if (clients == 2) {}', 'clients')).toBeNull();
    expect(lineOf('anything', 'pages.home')).toBeNull();
  });
});

describe('a bound in the code', () => {
  test('is a comparison of the size with a removal right behind it', () => {
    const evicts = 'if (cache.size > MAX) {\n  const [oldest] = cache.keys();\n  cache.delete(oldest);\n}';
    expect(findBound(evicts, 'cache')).toEqual({ line: 1, column: 5 });
    expect(findBound('while (this.last.length > 100) this.last.shift();', 'last')).not.toBeNull();
  });

  test('is not a refusal, a warning, or a removal on leaving', () => {
    expect(findBound('if (clients.size >= MAX) return ws.close(1013);', 'clients')).toBeNull();
    expect(findBound("ws.on('close', () => clients.delete(id));", 'clients')).toBeNull();
  });
});

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

test('a function that is named only behind a line is not the one around it', () => {
  const text = 'class Hub {\n  join(ws) {\n    this.#clients.add(ws);\n  }\n  leave(ws) {\n  }\n}\n';
  expect(isNamedBefore(text, 'join', 3)).toBe(true);
  expect(isNamedBefore(text, 'Hub.join', 3)).toBe(true);
  expect(isNamedBefore(text, 'leave', 3)).toBe(false);
  expect(isNamedBefore(text, '', 3)).toBe(false);
});
