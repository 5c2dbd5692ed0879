import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const PREBUILT = join(__dirname, '..', '..', '..', 'native', 'prebuilt');
const lines = readFileSync(join(PREBUILT, 'SHA256SUMS'), 'utf8').trim().split('\n');

test('the checksums name every source and one binary for each target', () => {
  const names = lines.map((line) => line.split('  ')[1] ?? '').sort();
  const sources = readdirSync(join(PREBUILT, '..', 'src')).map((name) => `../src/${name}`);
  const targets = readdirSync(PREBUILT).filter((name) => name.startsWith('linux-'));
  expect(targets.sort()).toEqual([
    'linux-arm64-glibc',
    'linux-arm64-musl',
    'linux-x64-glibc',
    'linux-x64-musl',
  ]);
  expect(names).toEqual([...sources, ...targets.map((name) => `${name}/wsguard-capture.node`)].sort());
});

test('the binaries were built from these sources: run node native/prebuild.mjs after a change', () => {
  const changed = lines.filter((line) => {
    const [checksum, name = ''] = line.split('  ');
    return (
      createHash('sha256')
        .update(readFileSync(join(PREBUILT, name)))
        .digest('hex') !== checksum
    );
  });
  expect(changed).toEqual([]);
});
