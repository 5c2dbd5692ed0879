// A program with secrets in every place that a heap snapshot shows. `node vault.cjs <file>` writes its snapshot, and
// <file>.planted.json with the secrets that redaction must remove and the names that it must keep.
'use strict';
const { createHash } = require('node:crypto');
const { EventEmitter } = require('node:events');
const { AsyncLocalStorage } = require('node:async_hooks');
const { writeFileSync } = require('node:fs');
const { dirname, join } = require('node:path');
const { pathToFileURL } = require('node:url');
const { writeHeapSnapshot } = require('node:v8');

const planted = [];
/** Counts the tokens. A token is a hash of it and not random, because a random one may read as a word, which may stay. */
let serial = 0;
const token = () =>
  createHash('sha256')
    .update(String((serial += 1)))
    .digest('hex')
    .slice(0, 16);
/** Makes a flat string from bytes, because V8 writes no text for concatenated and sliced strings. */
const flat = (text) => Buffer.from(text).toString();
const secret = (kind) => {
  const text = flat(`planted-${kind}-${token()}`);
  planted.push(text);
  return text;
};
const plant = (text) => {
  planted.push(text);
  return flat(text);
};
const times = (count, make) => Array.from({ length: count }, (_, at) => make(at));
const people =
  'alice bob carol dave erin frank grace heidi ivan judy mallory niaj olivia peggy rupert sybil trent'
    .split(' ')
    .map((name) => plant(`${name}planted`));

class PaymentSession {
  #hiddenField = secret('private-field');
  constructor() {
    this.cardHolder = plant('Jane Q. Planted');
    this.authToken = secret('field');
    this.peek = () => this.#hiddenField;
  }
}
class Named {}
Object.defineProperty(Named, 'name', { value: secret('class-name') });

const vault = {
  sessionRegistry: times(30, () => new PaymentSession()),
  tokenIndex: new Map(times(30, (at) => [secret('map-key'), { at }])),
  tokenSet: new Set(times(30, () => secret('set'))),
  dictionary: Object.fromEntries(times(30, (at) => [secret('key'), { at }])),
  mailIndex: Object.fromEntries(times(20, (at) => [plant(`user${at}@planted.example`), { at }])),
  peopleIndex: Object.fromEntries(people.map((name) => [name, new Map()])),
  topics: times(20, () => Object.fromEntries(people.map((name) => [name, new Map()]))),
  withoutPrototype: Object.assign(
    Object.create(null),
    Object.fromEntries(times(20, () => [secret('null-key'), {}])),
  ),
  smallDictionary: {
    [secret('small-key')]: {},
    [plant('carol@planted.example')]: {},
    [plant('4111111111111111')]: {},
  },
  weakValues: times(5, () => ({})),
  weak: new WeakMap(),
  described: Symbol(secret('symbol')),
  registered: Symbol.for(secret('symbol-for')),
  bySymbol: { [Symbol(secret('symbol-key'))]: {} },
  pattern: new RegExp(`^${secret('regex')}$`),
  template: flat(`Hello ${secret('template')}, your code is ${plant('981234567')}`),
  link: new URL(
    flat(
      `https://planted.example/pay?token=${secret('url')}&mail=${encodeURIComponent(plant('dave@planted.example'))}`,
    ),
  ),
  computed: { [secret('function')]: () => 1 },
  dynamicClass: new Named(),
  tagged: Object.create({ [Symbol.toStringTag]: secret('tag') }),
  failure: new Error(secret('message')),
  parseFailure: null,
  buffer: Buffer.from(secret('buffer')),
  numbers: times(10, () => plant(String(4e15 + (parseInt(token(), 16) % 1e15)))),
  phone: plant('+49 170 5550 1234'),
  unicode: flat(`${secret('unicode')} \u00e9\u{1f600}\n"quoted"\\`),
  surrogate: flat('\u{1f511}'.repeat(3)) + plant('schlüssel-geheim-планета'),
  bound: function () {}.bind(null, secret('bound')),
  events: new EventEmitter(),
  headers: times(20, () => ({
    authorization: flat(`Bearer ${secret('bearer')}`),
    cookie: secret('cookie'),
    host: 'h',
  })),
  rows: times(100, () =>
    JSON.parse(`{"customerName":"${secret('row')}","iban":"${plant('DE89370400440532013000')}"}`),
  ),
  parsed: JSON.parse(`{"${secret('json-key')}":{"deep":["${secret('json-value')}"]}}`),
  later: Promise.resolve(secret('promise')),
  // oxlint-disable-next-line typescript/no-implied-eval -- source text of the application is in a snapshot too
  makeFunction: new Function(`return ${JSON.stringify(secret('source'))}`),
  sealedVariable: (() => {
    const capturedSecret = secret('closure');
    return () => capturedSecret;
  })(),
  long: secret('long') + flat('z'.repeat(3000)),
  query: new URLSearchParams(flat(`sid=${secret('search')}`)),
};
for (const key of vault.weakValues) vault.weak.set(key, secret('weak-value'));
for (let at = 0; at < 70; at += 1) vault.events.on(secret('event'), () => at);
vault.pattern.test(secret('last-input'));
try {
  JSON.parse(flat(`{${secret('bad-json')}`));
} catch (error) {
  vault.parseFailure = error;
}
new AsyncLocalStorage().enterWith({ requestSecret: secret('store') });
globalThis.vault = vault;

const names = [
  'PaymentSession',
  'cardHolder',
  'authToken',
  '#hiddenField',
  'sessionRegistry',
  'tokenIndex',
  'customerName',
  'iban',
  'capturedSecret',
  'sealedVariable',
  'secret',
  'vault',
  __filename,
];
const file = process.argv[2];
// A module whose text has a secret, and a module whose URL has one.
const modules = [`data:text/javascript,export const f = () => ${JSON.stringify(secret('data-url'))}`];
const empty = join(dirname(file), 'empty.mjs');
writeFileSync(empty, 'export const f = () => 1;');
modules.push(`${pathToFileURL(empty)}?token=${secret('query')}`);
void Promise.all(modules.map((name) => import(name))).then((loaded) => {
  vault.modules = loaded;
  setTimeout(write, 50);
});

function write() {
  writeHeapSnapshot(file);
  writeFileSync(`${file}.planted.json`, JSON.stringify({ planted, names }));
}
