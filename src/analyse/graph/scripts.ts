/** `Scripts`: the files and positions of the functions in a snapshot. */
import { NODE, edgeTarget, locationIndex, nodeText } from './heap.ts';
import type { Heap } from './heap.ts';

/**
 * Files of this agent that every process under it has loaded, without their ending. The agent's folder is the one that
 * contains all of them: it may be installed, linked or run from a checkout. test/unit/analyse/scripts.test.ts checks
 * that they exist.
 */
export const AGENT_FILES = ['hooks/preload-hooks', 'hooks/connections/socket-tracker', 'core/guard'] as const;

/** A position in the code that ran, before any source map. Lines and columns from 1. */
export interface CodePosition {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly function: string | null;
}

export class Scripts {
  readonly #heap: Heap;
  /** Script id -> file. */
  readonly #files = new Map<number, string>();
  /** The agent's folder in the process that wrote the snapshot; null when the agent was not loaded. */
  readonly #agentFolder: string | null;

  constructor(heap: Heap) {
    this.#heap = heap;
    const { node, scriptId } = heap.locations;
    for (let row = 0; row < node.length; row += 1) {
      if (this.#files.has(scriptId[row]!) || heap.nodeType[node[row]!] !== NODE.closure) continue;
      const file = scriptFile(heap, node[row]!);
      if (file !== null) this.#files.set(scriptId[row]!, file);
    }
    this.#agentFolder = findAgentFolder(new Set(this.#files.values()));
  }

  /** Objects that the agent itself keeps are not a finding about the application. */
  isAgentFile(file: string): boolean {
    return this.#agentFolder !== null && file.startsWith(this.#agentFolder);
  }

  /** The agent's own code without the remedies: what a remedy retains, the application has given to it. */
  isAgentCode(file: string): boolean {
    return this.isAgentFile(file) && !/^remedy[\\/]/.test(file.slice(this.#agentFolder?.length));
  }

  /** Files of the application and of packages that have at least one function in the heap. */
  userFiles(): string[] {
    return [...new Set(this.#files.values())].filter(isUserFile);
  }

  /** A closure's function, or the constructor of an object's class; null for nodes without a script. */
  position(node: number): CodePosition | null {
    return this.#positionIn(node, () => true);
  }

  /** The same as `position`, but null for Node's own code. */
  userPosition(node: number): CodePosition | null {
    return this.#positionIn(node, isUserFile);
  }

  #positionIn(node: number, isAccepted: (file: string) => boolean): CodePosition | null {
    const row = locationIndex(this.#heap, node);
    if (row < 0) return null;
    const { scriptId, line, column } = this.#heap.locations;
    const file = this.#files.get(scriptId[row]!);
    if (file === undefined || !isAccepted(file)) return null;
    const name = nodeText(this.#heap, node);
    return { file, line: line[row]! + 1, column: column[row]! + 1, function: name === '' ? null : name };
  }

  /** The name of the last function that begins before a position; nearly always the function that contains it. */
  functionAt(file: string, line: number, column: number): string | null {
    const { node, scriptId, line: lines, column: columns } = this.#heap.locations;
    let nearest = -1;
    for (let row = 0; row < node.length; row += 1) {
      if (this.#files.get(scriptId[row]!) !== file || this.#heap.nodeType[node[row]!] !== NODE.closure)
        continue;
      const isAfter = lines[row]! + 1 > line || (lines[row]! + 1 === line && columns[row]! + 1 > column);
      if (isAfter) continue;
      const isNearer =
        nearest < 0 ||
        lines[row]! > lines[nearest]! ||
        (lines[row] === lines[nearest] && columns[row]! > columns[nearest]!);
      if (isNearer) nearest = row;
    }
    const name = nearest < 0 ? '' : nodeText(this.#heap, node[nearest]!);
    return name === '' ? null : name;
  }
}

function findAgentFolder(files: ReadonlySet<string>): string | null {
  const [first, ...others] = AGENT_FILES;
  const pattern = new RegExp(`^(.*[\\\\/])${first.replace('/', '([\\\\/])')}(\\.[jt]s)$`);
  for (const file of files) {
    const [, folder, separator, ending] = pattern.exec(file) ?? [];
    if (folder === undefined || separator === undefined) continue;
    if (others.every((name) => files.has(`${folder}${name.replaceAll('/', separator)}${ending}`)))
      return folder;
  }
  return null;
}

function scriptFile(heap: Heap, closure: number): string | null {
  const shared = edgeTarget(heap, closure, 'shared');
  // `script_or_debug_info` until V8 12, `script` since then.
  let script = edgeTarget(heap, shared, 'script');
  if (script < 0) script = edgeTarget(heap, shared, 'script_or_debug_info');
  if (script < 0) return null;
  const name = edgeTarget(heap, script, 'name');
  const text = (name < 0 ? '' : nodeText(heap, name)) || nodeText(heap, script);
  return text === '' || text.startsWith('system / ') ? null : toPath(text);
}

/** ES modules have a file URL as their name. */
function toPath(script: string): string {
  if (!script.startsWith('file://')) return script;
  try {
    const path = decodeURIComponent(script.slice('file://'.length).replace(/[?#].*$/, ''));
    return /^\/[A-Za-z]:\//.test(path) ? path.slice(1) : path;
  } catch {
    return script;
  }
}

/** False for Node's own scripts and for code without a file. */
export const isUserFile = (file: string): boolean =>
  !/^(?:node|wasm|evalmachine)/.test(file) && /[\\/.]/.test(file);
export const isPackageFile = (file: string): boolean => /[\\/]node_modules[\\/]/.test(file);
