import { FunctionLocator } from '../../../src/hooks/inspector/function-locator.ts';
import type {
  CoveredScript,
  InspectorSession,
  Script,
} from '../../../src/hooks/inspector/inspector-session.ts';

const MAP = 'data:application/json,{}';

/** Reads the source map of the script `1` in a process with these scripts. */
function sourceMapBeside(scripts: readonly CoveredScript[]): string | undefined {
  const covered = new Map(scripts.map((script, index) => [String(index + 1), script]));
  const parsed = new Map<string, Script>([['1', { url: '/srv/app.ts', sourceMapUrl: MAP }]]);
  const session = { coveredScripts: () => covered, parsedScripts: () => parsed };
  return new FunctionLocator(session as unknown as InspectorSession).parsedScript('1')?.sourceMapUrl;
}
const APP = { url: '/srv/app.ts', length: 1_000 };

describe('all scripts are read for a source map', () => {
  test('where that takes milliseconds', () => {
    expect(sourceMapBeside([APP, { url: '/srv/other.ts', length: 900_000 }])).toBe(MAP);
  });

  test('but not with more than a megabyte of the application, which would block the thread', () => {
    expect(sourceMapBeside([APP, { url: '/srv/other.ts', length: 1_000_000 }])).toBeUndefined();
  });

  test('packages and Node have no inline source maps', () => {
    const large = ['/srv/node_modules/typescript/lib/typescript.js', 'node:internal/bootstrap/node'];
    expect(sourceMapBeside([APP, ...large.map((url) => ({ url, length: 9_000_000 }))])).toBe(MAP);
  });

  test('but not with more than 200 scripts', () => {
    expect(sourceMapBeside(Array.from({ length: 201 }, () => APP))).toBeUndefined();
  });
});
