/**
 * Finds the addresses of a host without `getaddrinfo`. Node runs `getaddrinfo` in a thread that the exit of the process
 * waits for: where no DNS server answers, that delays the exit by ten seconds and more.
 */
import type * as Dns from 'node:dns';
import type { LookupAddress, LookupOptions } from 'node:dns';
import { isIP } from 'node:net';
import { readSmallRegularFile } from './files.ts';

const HOSTS_FILE = '/etc/hosts';
const RESOLV_FILE = '/etc/resolv.conf';
const MAX_FILE_BYTES = 1024 ** 2;
/** resolv.conf(5). Kubernetes sets 5. */
const DEFAULT_NDOTS = 1;
const MAX_SEARCH_DOMAINS = 6;
/** Chosen: two servers in turn get two tries within the timeout of a delivery (10 s). */
const QUERY = { timeout: 2_000, tries: 2 };
/** Codes after which `getaddrinfo` would wait. With any other code a server knows the answer, and it ends soon too. */
const NO_ANSWER_CODES = new Set(['ETIMEOUT', 'ECONNREFUSED', 'ECANCELLED', 'ESERVFAIL']);

type Callback = (error: NodeJS.ErrnoException | null, address?: unknown, family?: number) => void;
type Lookup = (host: string, options: unknown, callback?: unknown) => unknown;
interface Wish {
  /** 0: both. */
  readonly family: 0 | 4 | 6;
  readonly all: boolean;
}

/**
 * Replaces `dns.lookup` for everything that runs in this thread: webhook, upload, OTLP exporters, ports. Each thread has a
 * `node:dns` of its own, so the application keeps its lookup. Call it in the watcher thread only.
 */
export function replaceLookup(dns: typeof Dns, readFile: (path: string) => string = readOrEmpty): void {
  const { lookup: getaddrinfo, promises } = dns;
  const lookup = createLookup(dns, getaddrinfo as Lookup, readFile);
  dns.lookup = lookup as typeof Dns.lookup;
  promises.lookup = ((host: string, options: unknown) =>
    new Promise((resolve, reject) => {
      lookup(host, options, (error: Error | null, address: string | LookupAddress[], family: number) => {
        if (error === null) resolve(typeof address === 'string' ? { address, family } : address);
        else reject(error);
      });
    })) as typeof promises.lookup;
}

function createLookup(dns: typeof Dns, getaddrinfo: Lookup, readFile: (path: string) => string): Lookup {
  return (host, options, callback) => {
    const reply = (typeof options === 'function' ? options : callback) as Callback;
    const wish = wishOf(options);
    // Without a name there is nothing to ask a server for; wrong arguments get their error from Node.
    if (typeof host !== 'string' || host === '' || isIP(host) > 0 || typeof reply !== 'function')
      return getaddrinfo(host, options, callback);
    const local = hostsAddresses(readFile(HOSTS_FILE), host, wish);
    if (local.length > 0) return process.nextTick(answer, local, wish, reply);
    void queryInTurn(dns, searchedNames(readFile(RESOLV_FILE), host), wish).then(
      ({ addresses, isAnswered }) => {
        if (addresses.length > 0) answer(addresses, wish, reply);
        else if (!isAnswered) reply(noAnswerError(host));
        // The system can have sources of names other than DNS.
        else getaddrinfo(host, options, callback);
      },
    );
    return undefined;
  };
}

function wishOf(options: unknown): Wish {
  const { family = 0, all = false } = (
    typeof options === 'number' ? { family: options } : typeof options === 'object' ? (options ?? {}) : {}
  ) as LookupOptions;
  const wanted = family === 4 || family === 'IPv4' ? 4 : family === 6 || family === 'IPv6' ? 6 : 0;
  return { family: wanted, all };
}

function answer(addresses: readonly LookupAddress[], { all }: Wish, reply: Callback): void {
  if (all) reply(null, addresses);
  else reply(null, addresses[0]?.address, addresses[0]?.family);
}

interface Found {
  readonly addresses: readonly LookupAddress[];
  /** A server knows that there is no address. */
  readonly isAnswered: boolean;
}

/** Stops at the first name that has an address, as `getaddrinfo` does. */
async function queryInTurn(dns: typeof Dns, names: readonly string[], wish: Wish): Promise<Found> {
  let isAnswered = true;
  for (const name of names) {
    const found = await query(dns, name, wish);
    if (found.addresses.length > 0) return found;
    isAnswered &&= found.isAnswered;
  }
  return { addresses: [], isAnswered };
}

async function query(dns: typeof Dns, host: string, { family }: Wish): Promise<Found> {
  const resolver = new dns.promises.Resolver(QUERY);
  let isAnswered = true;
  const ask = async (version: 4 | 6): Promise<LookupAddress[]> => {
    if (family !== 0 && family !== version) return [];
    try {
      const found = await (version === 4 ? resolver.resolve4(host) : resolver.resolve6(host));
      return found.map((address) => ({ address, family: version }));
    } catch (error) {
      if (NO_ANSWER_CODES.has((error as NodeJS.ErrnoException).code ?? '')) isAnswered = false;
      return [];
    }
  };
  const found = await Promise.all([ask(4), ask(6)]);
  return { addresses: found.flat(), isAnswered };
}

/** The names to ask for, by the search domains of resolv.conf(5). `dns.Resolver` does not add them. */
function searchedNames(text: string, host: string): string[] {
  if (host.endsWith('.')) return [host];
  const lines = text.split('\n').map((line) => line.trim().split(/\s+/));
  const [, ...domains] = lines.findLast(([word]) => word === 'search' || word === 'domain') ?? [];
  const ndots = Number(/^\s*options\b.*\bndots:(\d+)/m.exec(text)?.[1] ?? DEFAULT_NDOTS);
  const searched = domains
    .slice(0, MAX_SEARCH_DOMAINS)
    .map((domain) => `${host}.${domain.replace(/\.$/, '')}`)
    .filter((name) => name !== `${host}.`);
  return host.split('.').length > ndots ? [host, ...searched] : [...searched, host];
}

/** The addresses that /etc/hosts gives to a name. A line is an address, names, and a comment. */
function hostsAddresses(text: string, host: string, { family }: Wish): LookupAddress[] {
  const name = host.toLowerCase().replace(/\.$/, '');
  return text.split('\n').flatMap((line) => {
    const [address = '', ...names] = (line.split('#')[0] ?? '').trim().split(/\s+/);
    const version = isIP(address);
    const isWanted = version !== 0 && (family === 0 || family === version);
    return isWanted && names.some((known) => known.toLowerCase() === name)
      ? [{ address, family: version }]
      : [];
  });
}

function readOrEmpty(path: string): string {
  try {
    return readSmallRegularFile(path, MAX_FILE_BYTES);
  } catch {
    return '';
  }
}

const noAnswerError = (host: string): NodeJS.ErrnoException =>
  Object.assign(new Error(`no DNS server answered for ${host}`), {
    code: 'EAI_AGAIN',
    syscall: 'lookup',
    hostname: host,
  });
