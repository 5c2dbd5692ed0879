/** Reads the import graph of `src` from its text: static imports, re-exports and lazy `require` calls. */
import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, posix } from 'node:path';

export const SRC = join(__dirname, '..', '..', 'src');

export interface Import {
  readonly file: string;
  /** A path below `src`, or the name of a package or a built-in module. */
  readonly target: string;
  readonly isTypeOnly: boolean;
  readonly isLazy: boolean;
}

/** Paths below `src`, with `/` as separator. */
export const sourceFiles: readonly string[] = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .map((name) => name.split('\\').join('/'))
  .filter((name) => name.endsWith('.ts'))
  .toSorted();

export const readSource = (file: string): string => readFileSync(join(SRC, file), 'utf8');

export const imports: readonly Import[] = sourceFiles.flatMap((file) => {
  const text = readSource(file);
  const statics = [...text.matchAll(/^(?:import|export)\s+(type\s+)?[^'"`;]*?from\s+'([^']+)'/gm)].map(
    ([, type, target = '']) => ({
      file,
      target: resolve(file, target),
      isTypeOnly: type !== undefined,
      isLazy: false,
    }),
  );
  const requires = [...text.matchAll(/(?<!typeof )\b(?:require|import)\(\s*'([^']+)'\s*\)/g)].map(
    ([, target = '']) => ({ file, target: resolve(file, target), isTypeOnly: false, isLazy: true }),
  );
  return [...statics, ...requires];
});

export const isSource = (target: string): boolean => target.endsWith('.ts');

export const isPackage = (target: string): boolean =>
  !isSource(target) && !target.startsWith('node:') && !builtinModules.includes(target);

/** The top folder of a file; a file of the root is its own room. */
export const roomOf = (file: string): string => file.split('/')[0] ?? '';

/** All files that running `entries` can load. `cut` is not entered. */
export function closure(
  entries: readonly string[],
  { cut = [], withTypes = false }: { cut?: readonly string[]; withTypes?: boolean } = {},
): ReadonlySet<string> {
  const reached = new Set(entries);
  for (const file of reached) {
    for (const { target, isTypeOnly } of importsByFile.get(file) ?? [])
      if (isSource(target) && (withTypes || !isTypeOnly) && !cut.includes(target)) reached.add(target);
  }
  return reached;
}

const importsByFile = new Map(sourceFiles.map((name) => [name, imports.filter(({ file }) => file === name)]));

function resolve(file: string, target: string): string {
  return target.startsWith('.') ? posix.normalize(posix.join(dirname(file), target)) : target;
}
