/**
 * `findOpeningCall`: the call that opens a handle, in the function that uses it. A snapshot knows where that function
 * begins, and a function of a hundred lines is no place to look at.
 */
import type { CodePosition } from '../graph/scripts.ts';
import { offsetAt, positionAt } from './sources.ts';
import type { Sources } from './sources.ts';
import { child, functionOrClassAt } from './syntax-tree.ts';
import type { SyntaxNode } from './syntax-tree.ts';

const SOCKETS = ['fetch', 'connect', 'createConnection', 'request', 'get', 'post', 'stream', 'WebSocket'];
const CHILDREN = ['spawn', 'exec', 'execFile', 'fork'];

/** Names of the functions and classes of Node, and of the usual HTTP clients, that open a handle, by its class. */
const OPENERS: Readonly<Record<string, readonly string[]>> = {
  TCP: SOCKETS,
  Pipe: [...CHILDREN, ...SOCKETS],
  Process: CHILDREN,
  FSEvent: ['watch'],
  StatWatcher: ['watchFile'],
  MessagePort: ['MessageChannel', 'Worker'],
  Worker: ['Worker'],
  UDP: ['createSocket'],
};

/** Returns the position that it was given where no such call is found. */
export function findOpeningCall(sources: Sources, position: CodePosition, handle: string): CodePosition {
  const tree = sources.syntaxTree(position.file);
  const offset = tree === null ? -1 : offsetAt(tree.text, position);
  const user = tree === null || offset < 0 ? null : functionOrClassAt(tree, offset);
  if (tree === null || user === null) return position;
  const calls = (OPENERS[handle] ?? [])
    .flatMap((name) => tree.occurrences.get(name) ?? [])
    .filter((call) => user.start <= call.start && call.end <= user.end && isCalled(call));
  const [first] = calls.toSorted((a, b) => a.start - b.start);
  return first === undefined ? position : { ...position, ...positionAt(tree.text, first.start) };
}

/** `fetch(…)`, `http.get(…)` or `new Worker(…)`. */
function isCalled(name: SyntaxNode): boolean {
  const { parent } = name;
  const isProperty = parent?.type === 'MemberExpression' && child(parent, 'property') === name;
  const callee = isProperty ? parent : name;
  const call = callee?.parent;
  return (
    (call?.type === 'CallExpression' || call?.type === 'NewExpression') && child(call, 'callee') === callee
  );
}
