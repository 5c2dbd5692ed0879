/**
 * Lets child processes load the agent from another folder. Node looks up `--require @wsguard/agent` in the working directory,
 * and a child that does not find it there ends with an error. Children get their flags from `process.execArgv` and
 * NODE_OPTIONS, so the names in them are replaced with absolute paths.
 */
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const PACKAGE_NAME = '@wsguard/agent';
const DIST = join(__dirname, '..');
/** The entries that are preloads, by their name in the package. */
const ENTRIES: Readonly<Record<string, string>> = {
  [PACKAGE_NAME]: join(DIST, 'index.js'),
  [`${PACKAGE_NAME}/register`]: join(DIST, 'register.js'),
};
const FLAG = /^(?:-r|--require|--import)$/;
const FLAG_WITH_VALUE = /^(--require|--import)=(.*)$/s;
/** A flag in NODE_OPTIONS: its value can be in double quotes, with a backslash before a quote. */
const FLAG_IN_TEXT = /(^|\s)(-r|--require|--import)(=|\s+)("(?:[^"\\]|\\.)*"|\S+)/g;

interface Environment {
  NODE_OPTIONS?: string | undefined;
}

/** Changes both in place, and only where they name the agent. */
export function makeEntriesAbsolute(execArgv: string[], env: Environment, cwd: string): void {
  for (const [index, word] of execArgv.entries()) {
    const [, flag, value] = FLAG_WITH_VALUE.exec(word) ?? [];
    if (flag !== undefined && value !== undefined) {
      const entry = absoluteEntry(flag, value, cwd);
      if (entry !== null) execArgv[index] = `${flag}=${entry}`;
    } else if (FLAG.test(word)) {
      const entry = absoluteEntry(word, execArgv[index + 1] ?? '', cwd);
      if (entry !== null) execArgv[index + 1] = entry;
    }
  }
  const text = env.NODE_OPTIONS;
  if (text === undefined) return;
  const changed = text.replace(
    FLAG_IN_TEXT,
    (match, ...[before = '', flag = '', gap = '', word = '']: string[]) => {
      const entry = absoluteEntry(flag, unquoted(word), cwd);
      return entry === null ? match : `${before}${flag}${gap}${quoted(entry)}`;
    },
  );
  if (changed !== text) env.NODE_OPTIONS = changed;
}

/** The value of NODE_OPTIONS that loads the agent in any folder. */
export const nodeOptionsForAnyFolder = (): string => `--require ${quoted(ENTRIES[PACKAGE_NAME] ?? '')}`;

/** Null for a value that does not name the agent, and for an absolute path. */
function absoluteEntry(flag: string, value: string, cwd: string): string | null {
  const file = ENTRIES[value] ?? (/^\.{1,2}[\\/]/.test(value) ? entryAt(resolve(cwd, value)) : null);
  if (file === null) return null;
  return flag === '--import' ? pathToFileURL(file).href : file;
}

function entryAt(path: string): string | null {
  try {
    const file = require.resolve(path);
    return Object.values(ENTRIES).includes(file) ? file : null;
  } catch {
    return null;
  }
}

const unquoted = (word: string): string =>
  word.startsWith('"') ? word.slice(1, -1).replace(/\\(.)/g, '$1') : word;

const quoted = (path: string): string =>
  /[\s"\\]/.test(path) ? `"${path.replace(/[\\"]/g, '\\$&')}"` : path;
