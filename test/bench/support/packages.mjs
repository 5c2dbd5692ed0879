// The option `--with express,ws` of the benchmarks that measure a server which loads packages.
import { createRequire } from 'node:module';

const { resolve } = createRequire(import.meta.url);

/** The main files of the packages; none without the option. */
export function packagesOption(args = process.argv) {
  const index = args.indexOf('--with');
  return index < 0 ? [] : args[index + 1].split(',').map((name) => resolve(name));
}
