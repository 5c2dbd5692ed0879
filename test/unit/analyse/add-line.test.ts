/** The source line that adds entries to a container, found in literal sources. */
import { readFileSync } from 'node:fs';
import { findAddLine, findEvictionLine } from '../../../src/analyse/locate/add-line.ts';
import { findLimitLine } from '../../../src/analyse/locate/find-limit.ts';
import { isNamedBefore } from '../../../src/analyse/locate/pattern-search.ts';
import { parseSource } from '../../../src/analyse/locate/source-files.ts';
import { NO_SOURCES, positionAt } from '../../../src/analyse/locate/sources.ts';
import type { SourcePosition, Sources } from '../../../src/analyse/locate/sources.ts';
import type { ContainerQuery } from '../../../src/analyse/locate/syntax-search.ts';

const FILE = '/app/server.js';

/** `acorn` or `acorn-loose` parses the text; without `isParsed` the regular expressions search it. */
const sourcesOf = (text: string, isParsed = true): Sources => {
  const tree = isParsed ? parseSource(text) : null;
  return { ...NO_SOURCES, text: () => text, syntaxTree: () => tree };
};

const addLine = (text: string, query: ContainerQuery, isParsed = true): SourcePosition | null =>
  findAddLine(sourcesOf(text, isParsed), FILE, query);

const lineOf = (text: string, name: string, query: Partial<ContainerQuery> = {}): number | null =>
  addLine(text, { name, ...query })?.line ?? null;

/** Both searches find these. */
const COMMON: readonly (readonly [title: string, text: string, name: string, line: number])[] = [
  ['a Map', 'const clients = new Map();\nclients.set(id, ws);', 'clients', 2],
  ['a Set in a class', 'class Hub {\n  add(ws) {\n    this.clients.add(ws);\n  }\n}', 'clients', 3],
  ['a private field', 'class Hub {\n  #all = [];\n  add(x) { this.#all.push(x); }\n}', '#all', 3],
  ['a dictionary', 'const byId = {};\nfunction f(id, x) {\n  byId[id] = x;\n}', 'byId', 3],
  ['a dictionary of a field', 'class Hub {\n  on(id, ws) {\n    this.byId[id] = ws;\n  }\n}', 'byId', 3],
  ['a Set inside a Map', 'const rooms = new Map();\nrooms.get(room).add(ws);', 'rooms', 2],
  ['an array that is replaced', 'let log = [];\nlog = log.concat(line);', 'log', 2],
  ['an array that is spread into a new one', 'let log = [];\nlog = [...log, line];', 'log', 2],
  ['a string that is extended', 'const log = {};\nlog.text += line;', 'log', 2],
  ['splice that only removes', 'const jobs = [];\njobs.splice(0, 10);\njobs.push(job);', 'jobs', 3],
  ['splice that inserts', 'const jobs = [];\njobs.splice(0, 0, job);', 'jobs', 2],
  ['optional chaining', 'const rooms = new Map();\nrooms.get(id)?.add(ws);', 'rooms', 2],
  ['optional chaining of the container', 'let hub = null;\nhub?.push(ws);', 'hub', 2],
  ['a symbol', 'const kFree = Symbol("free");\nthis[kFree].push(buffer);', '<symbol free>', 2],
  ['a symbol in a renamed variable', "const t=Symbol('free');\nthis[t].push(e)", '<symbol free>', 2],
  ['a symbol of another file', 'this[symbols.kFree].push(buffer);', '<symbol free>', 1],
  ['a stream that is piped', 'const source = open();\nsource.pipe(response);', 'source', 2],
  ['an emitter', 'const hub = make();\nfor await (const [m] of on(hub, "m")) f(m);', 'hub', 2],
  ['only a declaration', 'let a = 1;\nconst pool = makePool();', 'pool', 2],
];

test.each(COMMON)('%s', (_title, text, name, line) => {
  expect(addLine(text, { name })?.line).toBe(line);
});

test.each(COMMON)('by regular expressions: %s', (_title, text, name, line) => {
  expect(addLine(text, { name }, false)?.line).toBe(line);
});

describe('in the syntax tree', () => {
  test.each([
    [
      'an arrow function in a field of a class',
      'class Hub {\n  sessions = new Map();\n  open = (k, v) => {\n    this.sessions.set(k, v);\n  };\n}',
      'sessions',
      4,
    ],
    [
      'a method whose name is a field',
      'class Hub {\n  pending = [];\n  push() { this.pending.push(1); }\n}',
      'pending',
      3,
    ],
    ['a call over several lines: its first line', 'hub\n  .clients\n  .add(\n    ws,\n  );', 'clients', 1],
    ['a variable that stands for the field', 'const all = this.clients;\nall.add(ws);', 'clients', 2],
    ['a destructured alias', 'const { clients: all } = hub;\nlog(all);\nall.add(ws);', 'clients', 3],
    ['a destructured parameter', 'function join({ clients }, ws) {\n  clients.add(ws);\n}', 'clients', 2],
    ['a key in quotes', "hub['clients'].push(ws);", 'clients', 1],
    [
      'a dictionary of arrays: its own keys',
      'const byId = {};\nbyId[id].push(x);\nbyId[id] ??= [];',
      'byId',
      3,
    ],
    ['a field of a class', 'class Hub {\n  clients = make();\n}', 'clients', 2],
    ['a script with import and a return', 'import x from "x";\nclients.add(x);\nreturn;', 'clients', 2],
    ['a file with a hashbang', '#!/usr/bin/env node\nclients.add(1);', 'clients', 2],
  ])('%s', (_title, text, name, line) => {
    expect(lineOf(text, name)).toBe(line);
  });

  test('text in comments, strings, template strings and regular expressions is not code', () => {
    const text = [
      '// clients.set(1)',
      "log('clients.set(2)');",
      'myclients.set(3);',
      '/* clients.set(4)',
      '*/',
      'log(`clients.set(5) ${a} clients.set(6)`);',
      'const pattern = /clients.set(7)/;',
      'clients.set(8);',
    ].join('\n');
    expect(lineOf(text, 'clients')).toBe(8);
    expect(lineOf(text.replace('clients.set(8);', ''), 'clients')).toBeNull();
  });

  test('code in a template string is code', () => {
    expect(lineOf('log(`${clients.add(ws)}`);', 'clients')).toBe(1);
  });

  test('the same method on another object does not match', () => {
    expect(lineOf('cache.set(1, 2);\nother.push(3);\nclients.delete(4);', 'clients')).toBeNull();
    expect(lineOf('clients.size; if (clients == 2) { cache.set(clients, 1); }', 'clients')).toBeNull();
  });

  test('a field of that name in another class does not match', () => {
    const text = [
      'class Log { add(line) {',
      '  this.entries.push(line);',
      '} }',
      'class Hub { add(ws) {',
      '  this.entries.push(ws);',
      '} }',
    ].join('\n');
    expect(lineOf(text, 'entries', { isVariable: false, from: { line: 4, column: 1 } })).toBe(5);
    expect(lineOf(text, 'entries', { isVariable: false, from: { line: 1, column: 1 } })).toBe(2);
  });

  test('a minified bundle: the variable of that name in the right scope, with its column', () => {
    const text =
      'var a=(()=>{let t=new Map;return e=>{t.set(e.id,e)}})(),b=(()=>{let t=[];return e=>{t.push(e)}})();';
    const closure = { line: 1, column: text.indexOf('e=>{t.push') + 1 };
    expect(addLine(text, { name: 't', isVariable: true, from: closure })).toEqual({
      line: 1,
      column: text.indexOf('t.push') + 1,
    });
    const first = { line: 1, column: text.indexOf('e=>{t.set') + 1 };
    expect(addLine(text, { name: 't', isVariable: true, from: first })?.column).toBe(
      text.indexOf('t.set') + 1,
    );
  });

  test('a parameter of the same name hides the variable', () => {
    const text = 'const a = [];\nfunction hidden(a) { a.push(1); }\nfunction real() { a.push(2); }';
    expect(lineOf(text, 'a', { isVariable: true, from: { line: 3, column: 14 } })).toBe(3);
  });

  test('of several additions the first one behind the function that sees the variable', () => {
    const text = 'a.push(1);\nfunction late() {\n  a.push(2);\n}';
    expect(addLine(text, { name: 'a', from: { line: 2, column: 14 } })).toEqual({ line: 3, column: 3 });
  });

  test('a container inside another: by the variable that the code assigns it to', () => {
    const rooms = 'rooms.set(name, new Set());\nconst members = rooms.get(name);\nmembers.add(socket);';
    expect(lineOf(rooms, 'rooms')).toBe(1);
    expect(lineOf(rooms, 'rooms', { depth: 1 })).toBe(3);
    const deeper = 'let users = rooms.get(tenant);\nlet sockets = users.get(user);\nsockets.push(socket);';
    expect(lineOf(deeper, 'rooms', { depth: 2 })).toBe(3);
    expect(lineOf('const shard = shards[n % 8];\nshard.push(n);', 'shards', { depth: 1 })).toBe(2);
    expect(lineOf('a.set(1, new Map());\na.get(1).set(2, 3);', 'a', { depth: 1 })).toBe(2);
    const created = 'let set = rooms.get(id);\nif (!set) rooms.set(id, (set = new Set()));\nset.add(ws);';
    expect(lineOf(created, 'rooms', { depth: 1 })).toBe(3);
    const assigned = '(rooms[id] ??= new Set())\n  .add(ws);';
    expect(addLine(assigned, { name: 'rooms', depth: 1 })).toEqual({ line: 1, column: 1 });
    expect(lineOf('(rooms.get(id) ?? make(id)).add(ws);', 'rooms', { depth: 1 })).toBe(1);
  });

  test('TypeScript is parsed with tolerance', () => {
    const text = [
      'interface Client { readonly id: string }',
      'export class Hub<T extends Client> {',
      '  private readonly clients = new Map<string, T>();',
      '  public open(client: T): void {',
      '    // this.clients.set(nothing)',
      '    this.clients.set(client.id, client as T);',
      '  }',
      '}',
    ].join('\n');
    expect(parseSource(text)?.isComplete).toBe(false);
    expect(lineOf(text, 'clients', { isVariable: false, from: { line: 2, column: 8 } })).toBe(6);
  });

  test('what the tolerant parser misses the regular expressions find', () => {
    const text =
      'const a: Map<string, <T>(x: T) => void> = new Map() as any;\n(a as any)!.set(1, 2);\na!.set(3, 4);';
    expect(parseSource(text)?.isComplete).toBe(false);
    expect(lineOf(text, 'a')).not.toBeNull();
  });
});

describe('by regular expressions', () => {
  test('comments, strings and longer names do not match', () => {
    const text = "// clients.set(1)\nlog('clients.set(2)');\nmyclients.set(3);\nclients.set(4);";
    expect(addLine(text, { name: 'clients' }, false)?.line).toBe(4);
    expect(addLine('clients.delete(1); if (clients == 2) {}', { name: 'clients' }, false)).toBeNull();
  });

  test('a container inside another', () => {
    const rooms = 'rooms.set(name, new Set());\nconst members = rooms.get(name);\nmembers.add(socket);';
    expect(addLine(rooms, { name: 'rooms', depth: 1 }, false)?.line).toBe(3);
  });

  test('the first one behind a position', () => {
    const text = 'a.push(1);\nfunction late(a) {\n  a.push(2);\n}';
    const query = { name: 'a', from: { line: 2, column: 1 } };
    expect(addLine(text, query, false)).toEqual({ line: 3, column: 3 });
  });
});

test('keys that are data are not searched, nor are files that do not exist', () => {
  expect(lineOf('anything', 'pages.home')).toBeNull();
  expect(findAddLine(NO_SOURCES, FILE, { name: 'clients' })).toBeNull();
  expect(findEvictionLine(NO_SOURCES, FILE, 'clients')).toBeNull();
});

describe('parseSource', () => {
  test.each([
    ['binary data', '\u0000\u0001{{{'],
    ['an unclosed string', 'const a = "'],
    ['deep nesting', '['.repeat(200_000)],
    ['unbalanced braces', '}}}}}} class { '],
  ])('%s does not throw', (_title, text) => {
    expect(() => parseSource(text)).not.toThrow();
  });

  test('large files have no tree, so they are searched by regular expressions', () => {
    const text = `clients.add(1);\n${' '.repeat(3 << 20)}`;
    expect(parseSource(text)).toBeNull();
    expect(lineOf(text, 'clients')).toBe(1);
  });
});

describe('the removal of entries at a limit', () => {
  const evictionOf = (text: string, name: string, isParsed = true): SourcePosition | null =>
    findEvictionLine(sourcesOf(text, isParsed), FILE, name);

  test.each([
    ['if', 'if (cache.size > MAX) {\n  const [oldest] = cache.keys();\n  cache.delete(oldest);\n}'],
    ['while', 'while (cache.length > 100) cache.shift();'],
    ['a field', 'class A { add() { if (this.cache.size >= 9) this.cache.clear(); } }'],
    ['an assigned length', 'if (cache.length === 100) cache.length = 0;'],
    ['an empty Map', 'if (cache.size >= MAX) { old = cache; cache = new Map(); }'],
    ['an empty array in a field', 'class A { add() { if (this.cache.length > 9) this.cache = []; } }'],
    ['an empty object', 'if (cache.length > 9) cache = {};'],
  ])('by %s', (_title, text) => {
    expect(evictionOf(text, 'cache')).not.toBeNull();
    expect(evictionOf(text, 'cache', false)).not.toBeNull();
  });

  test.each([
    ['the limit on the left', 'if (100 < cache.size) cache.clear();'],
    ['&&', 'cache.length > 100 && cache.shift();'],
    ['the update of a for loop', 'for (; cache.length > 9; cache.shift());'],
    ['a compound condition', 'if (isFull || (cache.size > 9 && old)) { cache.delete(old); }'],
  ])('only in the syntax tree: %s', (_title, text) => {
    expect(evictionOf(text, 'cache')).not.toBeNull();
  });

  test('the position is that of the comparison', () => {
    const text = 'if (cache.size > MAX) {\n  cache.clear();\n}';
    expect(evictionOf(text, 'cache')).toEqual({ line: 1, column: 5 });
    expect(evictionOf(text, 'cache', false)).toEqual({ line: 1, column: 5 });
  });

  test.each([
    ['a refusal', 'if (clients.size >= MAX) return ws.close(1013);'],
    ['a warning', "if (clients.size > 1000) log('many');"],
    ['a removal at close', "ws.on('close', () => clients.delete(id));"],
    ['a copy', 'if (clients.size > 1000) clients = new Map(clients);'],
    ['an element', 'if (clients.length > 1000) clients[id] = [];'],
    ['a queue that is emptied', 'while (clients.length > 0 && clients[0].weight <= free) clients.shift();'],
    ['a batch that is written', 'if (clients.length > 0) { write(clients); clients.length = 0; }'],
    ['an empty collection', 'if (clients.length === 0) clients = [];'],
  ])('%s is none', (_title, text) => {
    expect(evictionOf(text, 'clients')).toBeNull();
    expect(evictionOf(text, 'clients', false)).toBeNull();
  });

  test.each([
    ['the entry on the right', 'while (0 < clients.length) clients.pop();'],
    ['at least one', 'while (clients.length >= 1) clients.pop();'],
  ])('only in the syntax tree, a question for any entry is none: %s', (_title, text) => {
    expect(evictionOf(text, 'clients')).toBeNull();
  });

  test('a removal near the comparison, but outside its branch, is none', () => {
    const text = "if (clients.size > 1000) log('many');\nws.on('close', () => clients.delete(id));";
    expect(evictionOf(text, 'clients')).toBeNull();
  });
});

test('a function that is named only behind a line does not contain it', () => {
  const text = 'class Hub {\n  join(ws) {\n    this.#clients.add(ws);\n  }\n  leave(ws) {\n  }\n}\n';
  const position = { line: 3, column: 5 };
  expect(isNamedBefore(text, 'join', position)).toBe(true);
  expect(isNamedBefore(text, 'Hub.join', position)).toBe(true);
  expect(isNamedBefore(text, 'leave', position)).toBe(false);
  expect(isNamedBefore(text, '', position)).toBe(false);
});

describe('a limit without an eviction at a comparison', () => {
  const limitOf = (
    text: string,
    name = 'slots',
    query: Partial<ContainerQuery> = {},
  ): SourcePosition | null => findLimitLine(sourcesOf(text), FILE, { name, ...query });

  test.each([
    ['a ring', 'slots[i % SIZE] = item;'],
    ['a ring with a counter', 'slots[next] = item; next = (next + 1) % slots.length;'],
    [
      'a ring in a class',
      'class R { push(x) { this.slots[this.next++] = x; this.next %= this.slots.length; } }',
    ],
    ['a ring with a computed index', 'const at = n++ % 100; slots[at] = item;'],
    ['a ring with a mask', 'slots[n++ & MASK] = item;'],
    ['a ring that starts again', 'slots[next] = item; next += 1; if (next === SIZE) { next = 0; }'],
    ['a ring with a condition', 'slots[next] = item; next = next + 1 < SIZE ? next + 1 : 0;'],
    ['a kept slice', 'slots = [...slots, item].slice(-100);'],
    ['a function that evicts', 'if (slots.size > MAX) { evictOldest(); }'],
    [
      'a method that prunes',
      'class C { #slots = new Map(); add() { while (this.#slots.size > 9) this.prune(); } }',
    ],
  ])('%s', (title, text) => {
    expect(limitOf(text, title === 'a method that prunes' ? '#slots' : 'slots')).not.toBeNull();
  });

  test.each([
    ['an index that only rises', 'let next; next = 0; function add() { slots[next] = item; next += 1; }'],
    ['a lookup by a remainder', 'slots[i % SIZE].push(item);'],
    ['a refusal', 'if (slots.size >= MAX) return ws.close(1013);'],
    ['a slice from the front', 'slots = slots.slice(1);'],
    ['a comparison that only warns', "if (slots.size > MAX) log('many');"],
  ])('%s is none', (_title, text) => {
    expect(limitOf(text)).toBeNull();
  });

  const ADD = 'slots.set(id, x); bytes += x.length;';
  const METHOD = 'this.slots.set(id, x); this.sum += x.bytes;';

  test.each([
    [
      'in a loop',
      `${ADD} while (bytes > MAX) { const [id] = slots.keys(); bytes -= sizes[id]; slots.delete(id); }`,
    ],
    [
      'with the limit on the left',
      'class C { add(x) { this.slots.push(x); this.sum += x.length; if (MAX <= this.sum) { this.sum -= this.slots.shift().length; } } }',
    ],
    [
      'in an object',
      'function add(id, x) { slots[id] = x; cache.bytes += x.length; if (cache.bytes > MAX) { cache.bytes -= slots[id].length; delete slots[id]; } }',
    ],
    [
      'up to an exit',
      `${ADD} for (const [id, s] of slots) { if (bytes <= MAX) break; slots.delete(id); bytes -= s.length; }`,
    ],
    [
      'in a method of its own',
      `class C { add() { ${METHOD} while (this.sum > MAX) this.drop(); } drop() { this.sum -= this.slots.shift().bytes; } }`,
    ],
    [
      'in a private method',
      `class C { add() { ${METHOD} if (this.sum > MAX) this.#drop(); } #drop() { this.sum -= 1; this.slots.delete(this.last); } }`,
    ],
    [
      'in two methods',
      `class C { add() { ${METHOD} this.trim(); } trim() { while (this.sum > MAX) this.drop(); } drop() { this.sum -= 1; this.slots.delete(this.last); } }`,
    ],
    [
      'in a function',
      `function add(id, x) { ${ADD} trim(); } function trim() { while (bytes > MAX) { bytes -= 1; slots.delete(last()); } }`,
    ],
  ])('a total that is kept below a limit, %s', (_title, text) => {
    expect(limitOf(text)).not.toBeNull();
  });

  test('a total of a private field', () => {
    const text =
      'class C { #slots = new Map(); #sum = 0; add(id, x) { this.#slots.set(id, x); this.#sum += x.length; while (this.#sum > MAX) { this.#sum -= 1; this.#slots.delete(this.last); } } }';
    expect(limitOf(text, '#slots')).not.toBeNull();
  });

  const LRU = `class Lru { add(id, x) { this.slots.set(id, x); this.bytes += x.length; while (this.bytes > MAX) {
    const [key, old] = this.slots.entries().next().value; this.slots.delete(key); this.bytes -= old.length; } } }`;

  test('a cache of images of a healthy server', () => {
    const text = readFileSync('fixtures/apps/healthy/thumbnails.js', 'utf8');
    const from = positionAt(text, text.indexOf('constructor'));
    expect(limitOf(text, 'images', { isVariable: false, from })).not.toBeNull();
  });

  test('a limit belongs to the class of its container', () => {
    const text = `${LRU}\nclass Hub { add(id, x) { this.slots.set(id, x); } remove(id) { this.slots.delete(id); } }`;
    const field = { isVariable: false } as const;
    expect(limitOf(text, 'slots', { ...field, from: { line: 1, column: 1 } })).toMatchObject({ line: 2 });
    expect(limitOf(text, 'slots', { ...field, from: { line: 3, column: 1 } })).toBeNull();
    expect(
      limitOf(`const slots = new Map();\n${LRU}`, 'slots', {
        isVariable: true,
        from: { line: 2, column: 1 },
      }),
    ).toBeNull();
  });

  test.each([
    [
      'a token bucket',
      'class B { wait(id, f) { this.slots.set(id, f); } refill(n) { this.tokens += n; } take(id, cost) { if (this.tokens >= cost) { this.tokens -= cost; this.slots.delete(id); } } }',
    ],
    [
      'a token bucket that is filled where requests are added',
      'class B { take(id, cost) { this.tokens += rate(); this.slots.set(id, 1); if (this.tokens >= cost) { this.tokens -= cost; this.slots.delete(id); } } }',
    ],
    [
      'a queue with credit',
      'function send(m) { slots.push(m); } function grant(n) { credit += n; while (credit >= slots[0].length) { const m = slots.shift(); credit -= m.length; } }',
    ],
    [
      'a queue with credit that is raised where messages are added',
      'function send(m) { slots.push(m); credit += 1; while (credit >= slots[0].length) { const m = slots.shift(); credit -= m.length; } }',
    ],
    [
      'a close handler',
      "wss.on('connection', (ws) => { active += 1; slots.set(id, ws); ws.on('close', () => { if (active > limit) { active -= 1; slots.delete(id); } }); });",
    ],
    [
      'a method of another object under a guard',
      `class Hub { add(id, x) { this.slots.set(id, x); this.sum += 1; if (this.sum > MAX) { this.sum -= 1; pool.remove(id); } } remove(id) { this.slots.delete(id); } }`,
    ],
    [
      'a method of that name in another class',
      `class Hub { add(id, x) { this.slots.set(id, x); } remove(id) { this.sum -= 1; this.slots.delete(id); } }
       class Pool { add() { this.sum += 1; if (this.sum > MAX) { this.remove(); } } remove() { } }`,
    ],
  ])('%s has no such limit', (_title, text) => {
    expect(limitOf(text)).toBeNull();
  });

  test.each([
    [
      'a total that is not lowered',
      'slots.set(id, x); socket.bufferedAmount += 1; while (socket.bufferedAmount > HIGH) slots.delete(id);',
    ],
    [
      'work until nothing is left',
      'slots.push(x); waiting += 1; while (waiting > 0) { slots.shift(); waiting -= 1; }',
    ],
    [
      'a queue that sends while there is room',
      'slots.push(x); sent += 1; while (sent < HIGH) { send(slots.shift()); sent -= 1; }',
    ],
    [
      'an expired entry',
      'slots.set(id, x); bytes += x.length; if (now - slot.at > TTL) { slots.delete(id); bytes -= slot.length; }',
    ],
    [
      'a removal in another branch',
      'slots.set(id, x); bytes += x.length; if (bytes > MAX) { bytes -= 1; } else { slots.delete(id); }',
    ],
    [
      'a removal at close',
      "slots.set(id, x); bytes += x.length; if (bytes > MAX) bytes -= free(); ws.on('close', () => slots.delete(id));",
    ],
  ])('%s is none either', (_title, text) => {
    expect(limitOf(text)).toBeNull();
  });
});
