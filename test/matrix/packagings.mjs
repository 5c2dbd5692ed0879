// Makes the five packagings of a server: CommonJS, ESM, both minified in one file, and TypeScript through tsx.
import { copyFileSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { root } from '../../fixtures/prepare.mjs';

const SOURCES = join(root, 'fixtures', 'matrix', 'servers');
/** In a bundle in ESM, packages in CommonJS need these. */
const BANNER = `
import { createRequire as makeRequire } from 'node:module';
const require = makeRequire(import.meta.url);
const __filename = import.meta.filename, __dirname = import.meta.dirname;`;

export const PACKAGINGS = {
  CommonJS: { extension: 'cjs', format: 'cjs' },
  ESM: { extension: 'mjs', format: 'esm' },
  'CommonJS bundle': { extension: 'min.cjs', format: 'cjs', isBundle: true },
  'ESM bundle': { extension: 'min.mjs', format: 'esm', isBundle: true },
  tsx: { extension: 'mts' },
};

/** Writes the file of a packaging below `packages`, where its imports are resolved. @returns its path */
export async function makePackaging(name, file, packages) {
  const { extension, format, isBundle = false } = PACKAGINGS[name];
  const source = join(SOURCES, `${file}.mjs`);
  const outfile = join(packages, 'servers', `${file}.${extension}`);
  mkdirSync(join(packages, 'servers'), { recursive: true });
  if (name === 'tsx') copyFileSync(source, outfile);
  else {
    await build({
      entryPoints: [source],
      outfile,
      format,
      bundle: isBundle,
      minify: isBundle,
      platform: 'node',
      target: 'node20',
      logLevel: 'silent',
      nodePaths: [join(packages, 'node_modules')],
      plugins: isBundle ? [optionalPackages(packages)] : [],
      ...(isBundle && format === 'esm' ? { banner: { js: BANNER } } : {}),
    });
  }
  return outfile;
}

/** Leaves out the packages that the frameworks load only when they are installed. */
const optionalPackages = (packages) => ({
  name: 'optional packages',
  setup({ onResolve }) {
    const require = createRequire(join(packages, 'package.json'));
    onResolve({ filter: /^[^./]/ }, ({ path, kind }) => {
      if (kind !== 'require-call' && kind !== 'dynamic-import') return null;
      try {
        require.resolve(path);
        return null;
      } catch {
        return { path, external: true };
      }
    });
  },
});

/** Arguments of Node that load the agent, and tsx where the packaging needs it. */
export function nodeArguments(name, packages) {
  const agent = join(root, 'dist');
  const isEsm = PACKAGINGS[name].format !== 'cjs';
  const preload = isEsm
    ? ['--import', pathToFileURL(join(agent, 'register.js')).href]
    : ['--require', join(agent, 'index.js')];
  const tsx = pathToFileURL(join(packages, 'node_modules', 'tsx', 'dist', 'loader.mjs')).href;
  return name === 'tsx' ? [...preload, '--import', tsx] : preload;
}
