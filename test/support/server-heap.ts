/** Builds heap snapshots of a small server as V8 writes them: one module with variables, a function and sockets. */
import type { Heap } from '../../src/analyse/graph/heap.ts';
import { heapOf } from './heap-of.ts';
import { HeapSnapshotBuilder } from './heap-snapshot-builder.ts';

/** Shared by the snapshots of one process: an object keeps its id. */
export type ObjectIds = Map<string, number>;

export const FILE = '/app/server.js';
/** Line and column, from 1, of the function `onConnection` that sees the variables of the module. */
export const FUNCTION = { line: 4, column: 22 };

export class ServerHeap {
  readonly #builder = new HeapSnapshotBuilder();
  readonly #ids: ObjectIds;
  readonly #root: number;
  readonly #module: number;
  readonly #nullValue: number;
  readonly #server: number;
  readonly #scriptFiles: string[] = [];

  constructor(ids: ObjectIds) {
    this.#ids = ids;
    this.#root = this.node('root', 'synthetic', '');
    const roots = this.node('read-only roots', 'synthetic', '(Read-only roots)');
    const native = this.node('native context', 'object', 'system / NativeContext');
    this.#module = this.node('module', 'object', 'system / Context');
    this.#nullValue = this.node('null', 'hidden', 'null');
    this.#server = this.object('server', 'Server');
    const closure = this.node('onConnection', 'closure', 'onConnection');
    const shared = this.node('shared', 'code', 'onConnection');
    const script = this.node('script', 'code', 'script');
    const file = this.node('file', 'string', FILE);
    this.#builder
      .edge(this.#root, 'element', 1, roots)
      .edge(this.#root, 'element', 2, closure)
      .edge(roots, 'internal', 'null_value', this.#nullValue)
      .edge(closure, 'internal', 'context', this.#module)
      .edge(closure, 'internal', 'shared', shared)
      .edge(shared, 'internal', 'script', script)
      .edge(script, 'internal', 'name', file)
      .edge(this.#module, 'internal', 'previous', native)
      .locate(closure, 9, FUNCTION.line - 1, FUNCTION.column - 1);
  }

  node(key: string, type: string, name: string, selfSize = 16): number {
    const id = this.#ids.get(key) ?? this.#ids.size * 2 + 1;
    this.#ids.set(key, id);
    return this.#builder.node(type, name, { id, selfSize });
  }

  object(key: string, className: string, fields: Readonly<Record<string, number>> = {}): number {
    const node = this.node(key, 'object', className);
    for (const [name, target] of Object.entries(fields)) this.#builder.edge(node, 'property', name, target);
    return node;
  }

  link(from: number, field: string, to: number): void {
    this.#builder.edge(from, 'property', field, to);
  }

  /** A function of another file, at column 1, with the variables that it closes over. */
  closure(
    key: string,
    { name, file, line }: { name: string; file: string; line: number },
    variables: Readonly<Record<string, number>> = {},
  ): number {
    const node = this.node(key, 'closure', name);
    const shared = this.node(`${key} shared`, 'code', name);
    const script = this.node(`${key} script`, 'code', 'script');
    const context = this.node(`${key} context`, 'object', 'system / Context');
    this.#builder
      .edge(node, 'internal', 'context', context)
      .edge(node, 'internal', 'shared', shared)
      .edge(shared, 'internal', 'script', script)
      .edge(script, 'internal', 'name', this.node(`${key} file`, 'string', file))
      .locate(node, this.#scriptId(file), line - 1, 0);
    for (const [variable, target] of Object.entries(variables))
      this.#builder.edge(context, 'context', variable, target);
    return node;
  }

  /** A function that `bind` made. V8 writes the arguments as shortcuts, because an internal array has them too. */
  bound(key: string, boundThis: number, boundArguments: readonly number[] = []): number {
    const node = this.node(key, 'closure', 'native_bind');
    this.#builder.edge(node, 'internal', 'bound_this', boundThis);
    boundArguments.forEach((each, index) =>
      this.#builder.edge(node, 'shortcut', `bound_argument_${index}`, each),
    );
    return node;
  }

  #scriptId(file: string): number {
    if (!this.#scriptFiles.includes(file)) this.#scriptFiles.push(file);
    return 100 + this.#scriptFiles.indexOf(file);
  }

  /** A variable of the module. */
  variable(name: string, node: number): this {
    this.#builder.edge(this.#module, 'context', name, node);
    return this;
  }

  array(key: string, elements: readonly number[], className = 'Array'): number {
    const node = this.object(key, className);
    elements.forEach((element, index) => this.#builder.edge(node, 'element', index, element));
    return node;
  }

  /** Rows of key, value and link; the keys are strings. */
  map(key: string, values: readonly number[], className = 'Map'): number {
    const node = this.object(key, className);
    const table = this.node(`${key} table ${values.length}`, 'array', '');
    this.#builder.edge(node, 'internal', 'table', table);
    for (const [index, value] of values.entries()) {
      const name = this.node(`${key} key ${index}`, 'string', `secret ${index}`);
      this.#builder.edge(table, 'internal', String(index * 3 + 3), name);
      this.#builder.edge(table, 'internal', String(index * 3 + 4), value);
    }
    return node;
  }

  /**
   * Promises, each of which waits for the one before: `tail = tail.then(...)`. Returns the first. `variables`: what the
   * functions that wait refer to; -1 for nothing.
   */
  promiseQueue(key: string, length: number, variables: readonly number[] = []): number {
    const promises = Array.from({ length }, (_, index) => this.node(`${key} ${index}`, 'object', 'Promise'));
    promises.slice(1).forEach((next, index) => {
      const reaction = this.#reaction(`${key} reaction ${index}`);
      const variable = variables[index + 1] ?? -1;
      if (variable >= 0) {
        const handler = { name: 'deliver', file: FILE, line: 5 };
        const closure = this.closure(`${key} handler ${index}`, handler, { variable });
        this.#builder.edge(reaction, 'internal', 'fulfill_handler', closure);
      }
      this.#builder
        .edge(promises[index]!, 'internal', 'reactions_or_result', reaction)
        .edge(reaction, 'internal', 'promise_or_capability', next);
    });
    return promises[0]!;
  }

  /** A promise and the functions that wait for it, a list of reactions. */
  awaitedPromise(key: string, waiting: number): number {
    const promise = this.node(key, 'object', 'Promise');
    let from = promise;
    for (let index = 0; index < waiting; index += 1) {
      const reaction = this.#reaction(`${key} reaction ${index}`);
      this.#builder.edge(from, 'internal', index === 0 ? 'reactions_or_result' : 'next', reaction);
      from = reaction;
    }
    return promise;
  }

  #reaction(key: string): number {
    return this.node(key, 'hidden', 'system / PromiseReaction');
  }

  /** Sessions, each with an accepted socket. */
  sessions(count: number, isOpen: boolean, name = 'session'): number[] {
    return Array.from({ length: count }, (_, index) => {
      const key = `${name} ${index}`;
      const handle = isOpen ? this.object(`${key} handle`, 'TCP') : this.#nullValue;
      const fields = { '<symbol kHandle>': handle, _server: this.#server };
      return this.object(key, 'Session', { socket: this.object(`${key} socket`, 'Socket', fields) });
    });
  }

  /** Sockets of the process itself: their handles are open whether anything refers to them or not. */
  openSockets(sockets: readonly Readonly<Record<string, number>>[]): this {
    const roots = this.node('(Global handles)', 'synthetic', '(Global handles)');
    this.#builder.edge(this.#root, 'element', 3, roots);
    for (const [index, fields] of sockets.entries()) {
      const socket = this.object(`own socket ${index}`, 'Socket', { _server: this.#nullValue, ...fields });
      const handle = this.object(`own handle ${index}`, 'TCP', { '<symbol owner_symbol>': socket });
      this.#builder.edge(roots, 'internal', String(index), handle);
    }
    return this;
  }

  /** Node's lists of timers by their duration. The timers of a list are a ring. */
  timerLists(durationMs: number, count: number): number {
    const list = this.object('timers', 'TimersList');
    const timers = Array.from({ length: count }, (_, index) => this.object(`timer ${index}`, 'Timeout'));
    const ring = [list, ...timers];
    for (const [index, each] of ring.entries())
      this.#builder
        .edge(each, 'property', '_idleNext', ring[(index + 1) % ring.length]!)
        .edge(each, 'property', '_idlePrev', ring.at(index - 1)!);
    const lists = this.object('lists', 'Object');
    this.#builder.edge(lists, 'element', durationMs, list);
    return lists;
  }

  /** The constructor of the object's class is on the first line of the file. */
  constructedIn(node: number, file: string): number {
    this.closure(`class of ${file}`, { name: 'constructor', file, line: 1 });
    this.#builder.locate(node, this.#scriptId(file), 0, 0);
    return node;
  }

  /**
   * An ES module with the variables that it exports, by their names inside it. `imports` are cells of other modules. Returns its
   * cells in the order of the sorted names.
   */
  esModule(
    file: string,
    exported: Readonly<Record<string, number>>,
    imports: readonly number[] = [],
  ): readonly number[] {
    const node = this.node(`module ${file}`, 'hidden', 'system / SourceTextModule');
    const code = this.object(`code of ${file}`, 'Generator');
    this.closure(`function of ${file}`, { name: '', file, line: 1 });
    this.#builder.locate(code, this.#scriptId(file), 0, 0);
    const array = (field: number): number => {
      const to = this.node(`array ${field} of ${file}`, 'array', '');
      this.#builder.edge(node, 'hidden', field, to);
      return to;
    };
    const [table, own, others] = [array(0), array(5), array(6)];
    const cells = Object.entries(exported).map(([name, value], index) => {
      const cell = this.node(`cell ${name} of ${file}`, 'hidden', 'system / Cell');
      this.#builder
        .edge(cell, 'internal', 'value', value)
        .edge(table, 'internal', index * 2 + 3, this.node(`name ${name} of ${file}`, 'string', name))
        .edge(table, 'internal', index * 2 + 4, cell)
        .edge(own, 'internal', index, cell);
      return cell;
    });
    imports.forEach((cell, index) => this.#builder.edge(others, 'internal', index, cell));
    this.#builder.edge(node, 'hidden', 4, code).edge(this.#root, 'element', 7, node);
    return cells;
  }

  /** The engine retains the node. */
  root(node: number): this {
    this.#builder.edge(this.#root, 'element', 4, node);
    return this;
  }

  get nullValue(): number {
    return this.#nullValue;
  }

  build(): Heap {
    return heapOf(this.#builder);
  }
}
