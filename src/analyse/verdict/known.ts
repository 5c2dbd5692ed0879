import type { KnownLeak } from '../../types/index.ts';

interface Signature {
  /** Class that has the field, and the field; `*` stands for any. */
  readonly holder: string;
  readonly field: string;
  readonly package: string;
}

/** Leaks of published packages that others have met: data, and each one tested on the real package. */
export const LEAKS: readonly (Signature & { id: string; fixedIn: string; advice: string })[] = [
  {
    id: 'websocket-pending-requests',
    holder: 'WebSocketServer',
    field: 'pendingRequests',
    package: 'websocket',
    fixedIn: '1.0.31',
    advice:
      'Two WebSocketServers on one HTTP server: the one that does not answer keeps every request. Update.',
  },
  {
    id: 'socket.io-join-after-disconnect',
    holder: 'Adapter',
    field: 'rooms',
    package: 'socket.io',
    fixedIn: '4.5.2',
    advice:
      'join() behind an await enters rooms for a socket that has left. Update, or ask socket.connected first.',
  },
  {
    id: 'socket.io-join-after-disconnect',
    holder: 'Adapter',
    field: 'sids',
    package: 'socket.io',
    fixedIn: '4.5.2',
    advice:
      'join() behind an await enters rooms for a socket that has left. Update, or ask socket.connected first.',
  },
  {
    id: 'graphql-subscriptions-withfilter',
    holder: '*',
    field: 'pullQueue',
    package: 'graphql-subscriptions',
    fixedIn: '1.2.1',
    advice: 'withFilter() chains a promise to each event that the filter rejects. Update.',
  },
  {
    id: 'express-sse-listener',
    holder: 'SSE',
    field: '_events.data',
    package: 'express-sse',
    fixedIn: '0.4.1',
    advice: 'init() never takes its listener off when the client leaves. Update.',
  },
  {
    id: 'sharedb-duplicate-subscribe',
    holder: 'MemoryPubSub',
    field: 'streams',
    package: 'sharedb',
    fixedIn: '1.0.0-beta.17',
    advice: 'A second subscription of a connection to one document stays when it disconnects. Update.',
  },
  {
    id: 'http-proxy-middleware-upgrade-listeners',
    holder: 'Server',
    field: '_events.upgrade',
    package: 'http-proxy-middleware',
    fixedIn: '0.17.2',
    advice: 'With ws: true each request adds the upgrade listener again. Update.',
  },
];

/** What grows because its authors want it to: told, not accused. */
const BY_DESIGN: readonly (Signature & { because: string })[] = [
  {
    holder: 'Awareness',
    field: 'meta',
    package: 'y-protocols',
    because: 'y-protocols remembers a clock for each client id that ever edited the document',
  },
];

/** A package in the process: name -> versions. */
export type Packages = ReadonlyMap<string, readonly string[]>;

export function knownLeak(keys: PlaceKeys, packages: Packages): KnownLeak | null {
  for (const { id, package: name, fixedIn, advice, ...signature } of LEAKS) {
    if (!isAt(signature, keys)) continue;
    const versions = packages.get(name) ?? [];
    if (versions.some((version) => isBelow(version, fixedIn))) {
      return { id, package: name, range: `<${fixedIn}`, advice };
    }
  }
  return null;
}

export function designOf(keys: PlaceKeys, packages: Packages): string | null {
  const found = BY_DESIGN.find((signature) => isAt(signature, keys) && packages.has(signature.package));
  return found?.because ?? null;
}

/** Classes and fields on the way to a container, the nearest first: `Adapter` + `rooms`. */
export type PlaceKeys = readonly { readonly holder: string; readonly field: string }[];

const isAt = (signature: { holder: string; field: string }, keys: PlaceKeys): boolean =>
  keys.some(
    ({ holder, field }) =>
      (signature.holder === '*' || signature.holder === holder) && signature.field === field,
  );

/** Order of versions: numbers by value, a pre-release before its release. */
export function isBelow(version: string, limit: string): boolean {
  const parts = (text: string): (number | string)[] =>
    text.split(/[.-]/).map((part) => (/^\d+$/.test(part) ? Number(part) : part));
  const [a, b] = [parts(version), parts(limit)];
  for (let at = 0; at < Math.max(a.length, b.length); at++) {
    const [left, right] = [a[at], b[at]];
    if (left === right) continue;
    if (left === undefined) return typeof right === 'number';
    if (right === undefined) return typeof left === 'string';
    if (typeof left === 'number' && typeof right === 'number') return left < right;
    return String(left) < String(right);
  }
  return false;
}
