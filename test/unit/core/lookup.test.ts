import type * as Dns from 'node:dns';
import { replaceLookup } from '../../../src/core/lookup.ts';

type Answers = Readonly<Record<string, readonly string[] | string>>;

/** A `node:dns` whose servers give these answers: addresses, or the code of an error. Other names do not exist. */
function open(answers: Answers, files: Readonly<Record<string, string>> = {}) {
  const asked: string[] = [];
  const systemAsked: string[] = [];
  class Resolver {
    resolve4(name: string): Promise<readonly string[]> {
      asked.push(name);
      const answer = answers[name] ?? 'ENOTFOUND';
      return typeof answer === 'string'
        ? Promise.reject(Object.assign(new Error(answer), { code: answer }))
        : Promise.resolve(answer.filter((address) => !address.includes(':')));
    }
    resolve6(name: string): Promise<readonly string[]> {
      const answer = answers[name] ?? 'ENOTFOUND';
      return typeof answer === 'string'
        ? Promise.reject(Object.assign(new Error(answer), { code: answer }))
        : Promise.resolve(answer.filter((address) => address.includes(':')));
    }
  }
  const dns = {
    lookup(host: string, options: unknown, callback: unknown) {
      systemAsked.push(host);
      (typeof options === 'function' ? options : (callback as (...args: unknown[]) => void))(
        null,
        '9.9.9.9',
        4,
      );
    },
    promises: { Resolver },
  } as unknown as typeof Dns;
  replaceLookup(dns, (path) => files[path] ?? '');
  return { dns, asked, systemAsked };
}

const lookup = (dns: typeof Dns, host: string, options: object = {}): Promise<unknown> =>
  dns.promises.lookup(host, options);

test('answers from the DNS servers, without getaddrinfo', async () => {
  const { dns, systemAsked } = open({ 'hooks.example.com': ['192.0.2.7', '2001:db8::7'] });
  expect(await lookup(dns, 'hooks.example.com')).toEqual({ address: '192.0.2.7', family: 4 });
  expect(await lookup(dns, 'hooks.example.com', { family: 6 })).toEqual({
    address: '2001:db8::7',
    family: 6,
  });
  expect(await lookup(dns, 'hooks.example.com', { all: true })).toEqual([
    { address: '192.0.2.7', family: 4 },
    { address: '2001:db8::7', family: 6 },
  ]);
  expect(systemAsked).toEqual([]);
});

test('fails when no server answers, and does not ask getaddrinfo', async () => {
  const { dns, systemAsked } = open({ 'hooks.example.com': 'ETIMEOUT' });
  await expect(lookup(dns, 'hooks.example.com')).rejects.toMatchObject({ code: 'EAI_AGAIN' });
  expect(systemAsked).toEqual([]);
});

test('asks getaddrinfo for a name that DNS servers do not know', async () => {
  const { dns, systemAsked } = open({});
  expect(await lookup(dns, 'printer.local')).toEqual({ address: '9.9.9.9', family: 4 });
  expect(systemAsked).toEqual(['printer.local']);
});

test('an address and a name in /etc/hosts need no server', async () => {
  const { dns, asked } = open(
    {},
    { '/etc/hosts': '# names\n127.0.0.1 localhost\n::1 localhost\n10.0.0.4\tCollector c # x\n' },
  );
  expect(await lookup(dns, 'localhost')).toEqual({ address: '127.0.0.1', family: 4 });
  expect(await lookup(dns, 'localhost', { family: 6 })).toEqual({ address: '::1', family: 6 });
  expect(await lookup(dns, 'collector')).toEqual({ address: '10.0.0.4', family: 4 });
  await lookup(dns, '192.0.2.1');
  expect(asked).toEqual([]);
});

test('adds the search domains of resolv.conf', async () => {
  const files = {
    '/etc/resolv.conf':
      'nameserver 10.0.0.10\nsearch ns.svc.cluster.local svc.cluster.local\noptions ndots:5\n',
  };
  const { dns, asked } = open({ 'collector.svc.cluster.local': ['10.1.2.3'], collector: 'ESERVFAIL' }, files);
  expect(await lookup(dns, 'collector')).toEqual({ address: '10.1.2.3', family: 4 });
  expect(asked).toEqual(['collector.ns.svc.cluster.local', 'collector.svc.cluster.local']);
  const other = open({ 'hooks.example.com': ['192.0.2.7'] }, { '/etc/resolv.conf': 'search corp.example\n' });
  await lookup(other.dns, 'hooks.example.com');
  expect(other.asked).toEqual(['hooks.example.com']);
});

test('works with callbacks, with and without options', async () => {
  const { dns } = open({ a: ['192.0.2.7'] });
  const addresses = await Promise.all([
    new Promise((resolve) => dns.lookup('a', (_, address) => resolve(address))),
    new Promise((resolve) => dns.lookup('a', 4, (_, address) => resolve(address))),
    new Promise((resolve) => dns.lookup('a', { family: 'IPv4' }, (_, address) => resolve(address))),
  ]);
  expect(addresses).toEqual(['192.0.2.7', '192.0.2.7', '192.0.2.7']);
});
