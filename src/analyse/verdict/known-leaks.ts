/** Known leaks of published packages, and packages that grow by design. */
import type { KnownLeak } from '../../types/index.ts';
import type { PathFields } from '../graph/retaining-path.ts';

interface Signature {
  /** The class that has the field; `*` for any class. */
  readonly className: string;
  readonly field: string;
  readonly package: string;
}

/** test/integration/known-leaks.test.ts runs the leaking and the fixed version of each package. */
export const KNOWN_LEAKS: readonly (Signature & { id: string; fixedIn: string; advice: string })[] = [
  {
    id: 'websocket-pending-requests',
    className: 'WebSocketServer',
    field: 'pendingRequests',
    package: 'websocket',
    fixedIn: '1.0.31',
    advice:
      'With two WebSocketServers on one HTTP server, the one that does not accept a request keeps it. Update.',
  },
  {
    id: 'socket.io-join-after-disconnect',
    className: 'Adapter',
    field: 'rooms',
    package: 'socket.io',
    fixedIn: '4.5.2',
    advice:
      'join() after an await adds a disconnected socket to rooms. Update, or check socket.connected first.',
  },
  {
    id: 'socket.io-join-after-disconnect',
    className: 'Adapter',
    field: 'sids',
    package: 'socket.io',
    fixedIn: '4.5.2',
    advice:
      'join() after an await adds a disconnected socket to rooms. Update, or check socket.connected first.',
  },
  {
    id: 'graphql-subscriptions-withfilter',
    className: '*',
    field: 'pullQueue',
    package: 'graphql-subscriptions',
    fixedIn: '1.2.1',
    advice: 'withFilter() adds a promise to a chain for each event that the filter rejects. Update.',
  },
  {
    id: 'express-sse-listener',
    className: 'SSE',
    field: '_events.data',
    package: 'express-sse',
    fixedIn: '0.4.1',
    advice: 'init() never removes its listener when the client disconnects. Update.',
  },
  {
    id: 'sharedb-duplicate-subscribe',
    className: 'MemoryPubSub',
    field: 'streams',
    package: 'sharedb',
    fixedIn: '1.0.0-beta.17',
    advice:
      'A second subscription of a connection to the same document is not removed when it disconnects. Update.',
  },
  {
    id: 'http-proxy-middleware-upgrade-listeners',
    className: 'Server',
    field: '_events.upgrade',
    package: 'http-proxy-middleware',
    fixedIn: '0.17.2',
    advice: 'With ws: true, each request adds the upgrade listener again. Update.',
  },
];

const BY_DESIGN: readonly (Signature & { because: string })[] = [
  {
    className: 'Awareness',
    field: 'meta',
    package: 'y-protocols',
    because: 'y-protocols keeps a clock for each client id that ever edited the document',
  },
];

/** Packages in the process: name -> versions. */
export type Packages = ReadonlyMap<string, readonly string[]>;

export function findKnownLeak(fields: PathFields, packages: Packages): KnownLeak | null {
  for (const { id, package: name, fixedIn, advice, ...signature } of KNOWN_LEAKS) {
    if (!matches(signature, fields)) continue;
    const versions = packages.get(name) ?? [];
    if (versions.some((version) => isBelow(version, fixedIn))) {
      return { id, package: name, range: `<${fixedIn}`, advice };
    }
  }
  return null;
}

/** The reason why a package grows this container by design; null without one. */
export function growthByDesign(fields: PathFields, packages: Packages): string | null {
  const design = BY_DESIGN.find((signature) => matches(signature, fields) && packages.has(signature.package));
  return design?.because ?? null;
}

const matches = (signature: { className: string; field: string }, fields: PathFields): boolean =>
  fields.some(
    ({ className, field }) =>
      (signature.className === '*' || signature.className === className) && signature.field === field,
  );

/** Compares versions: numbers by value, a pre-release before its release. */
export function isBelow(version: string, limit: string): boolean {
  const parts = (text: string): (number | string)[] =>
    text.split(/[.-]/).map((part) => (/^\d+$/.test(part) ? Number(part) : part));
  const [a, b] = [parts(version), parts(limit)];
  for (let index = 0; index < Math.max(a.length, b.length); index += 1) {
    const [left, right] = [a[index], b[index]];
    if (left === right) continue;
    if (left === undefined) return typeof right === 'number';
    if (right === undefined) return typeof left === 'string';
    if (typeof left === 'number' && typeof right === 'number') return left < right;
    return String(left) < String(right);
  }
  return false;
}
