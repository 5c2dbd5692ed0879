import { NODE, follow, locationIndex, nodeText } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';

const AGENT_FILES = ['hooks/connections/socket-tracker', 'core/guard'];

/** A place in the code that ran: before any source map. Lines and columns from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly function: string | null;
}

/** Where functions are written, by the names that the snapshot gives its scripts. */
export class Scripts {
  private readonly heap: Heap;
  private readonly files = new Map<number, string>();
  /** Where this agent lay in the process that the snapshot was taken of; null when it was not there. */
  private readonly agentFolder: string | null;

  constructor(heap: Heap) {
    this.heap = heap;
    const { node, scriptId } = heap.locations;
    for (let at = 0; at < node.length; at++) {
      if (this.files.has(scriptId[at]!) || heap.nodeType[node[at]!] !== NODE.closure) continue;
      const file = scriptOf(heap, node[at]!);
      if (file !== null) this.files.set(scriptId[at]!, file);
    }
    this.agentFolder = agentFolderOf(new Set(this.files.values()));
  }

  /** What the agent itself keeps is no finding about the application that it watches. */
  isAgentFile(file: string): boolean {
    return this.agentFolder !== null && file.startsWith(this.agentFolder);
  }

  /** Files of the application and of packages that have functions alive. */
  userFiles(): string[] {
    return [...new Set(this.files.values())].filter(isUserFile);
  }

  /** Of a closure its function, of an object the constructor of its class; null for what is not in a script. */
  place(node: number): Place | null {
    return this.placeIn(node, () => true);
  }

  private placeIn(node: number, isMeant: (file: string) => boolean): Place | null {
    const at = locationIndex(this.heap, node);
    if (at < 0) return null;
    const { scriptId, line, column } = this.heap.locations;
    const file = this.files.get(scriptId[at]!);
    if (file === undefined || !isMeant(file)) return null;
    const name = nodeText(this.heap, node);
    return { file, line: line[at]! + 1, column: column[at]! + 1, function: name === '' ? null : name };
  }

  /** The name of the function that begins last before a place: nearly always the one around it. */
  functionAt(file: string, line: number, column: number): string | null {
    const { node, scriptId, line: lines, column: columns } = this.heap.locations;
    let best = -1;
    for (let at = 0; at < node.length; at++) {
      if (this.files.get(scriptId[at]!) !== file || this.heap.nodeType[node[at]!] !== NODE.closure) continue;
      const isAfter = lines[at]! + 1 > line || (lines[at]! + 1 === line && columns[at]! + 1 > column);
      if (isAfter) continue;
      const isNearer =
        best < 0 || lines[at]! > lines[best]! || (lines[at] === lines[best] && columns[at]! > columns[best]!);
      if (isNearer) best = at;
    }
    const name = best < 0 ? '' : nodeText(this.heap, node[best]!);
    return name === '' ? null : name;
  }

  /** The same as `place`, but nothing that belongs to Node itself. */
  userPlace(node: number): Place | null {
    return this.placeIn(node, isUserFile);
  }
}

/** Known by its files that lie beside one another, since it may be installed, linked or run from a checkout. */
function agentFolderOf(files: ReadonlySet<string>): string | null {
  for (const file of files) {
    const folder = /^(.*[\\/])hooks[\\/]preload-hooks\.[jt]s$/.exec(file)?.[1];
    if (folder === undefined) continue;
    const beside = AGENT_FILES.map((name) =>
      file.replace(/hooks([\\/])preload-hooks/, name.replaceAll('/', '$1')),
    );
    if (beside.every((name) => files.has(name))) return folder;
  }
  return null;
}

function scriptOf(heap: Heap, closure: number): string | null {
  const shared = follow(heap, closure, 'shared');
  // `script_or_debug_info` until V8 12, `script` since.
  let script = follow(heap, shared, 'script');
  if (script < 0) script = follow(heap, shared, 'script_or_debug_info');
  if (script < 0) return null;
  const name = follow(heap, script, 'name');
  const text = (name < 0 ? '' : nodeText(heap, name)) || nodeText(heap, script);
  return text === '' || text.startsWith('system / ') ? null : fileOf(text);
}

/** ES modules are named by URL. */
function fileOf(script: string): string {
  if (!script.startsWith('file://')) return script;
  try {
    const path = decodeURIComponent(script.slice('file://'.length).replace(/[?#].*$/, ''));
    return /^\/[A-Za-z]:\//.test(path) ? path.slice(1) : path;
  } catch {
    return script;
  }
}

export const isUserFile = (file: string): boolean =>
  !file.startsWith('node:') && !file.startsWith('evalmachine') && /[\\/.]/.test(file);
export const isPackageFile = (file: string): boolean => /[\\/]node_modules[\\/]/.test(file);
