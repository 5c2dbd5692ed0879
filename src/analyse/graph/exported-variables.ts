/**
 * `exportedVariables`: the variables that ES modules export. V8 keeps such a variable in a cell of its module and not in a
 * context, and each module that imports it refers to the same cell.
 */
import { EDGE, EDGE_TYPE_MASK, NODE, edgeTarget, edgeText, nodeText } from './heap.ts';
import type { Heap } from './heap.ts';
import type { CodePosition, Scripts } from './scripts.ts';

/** The variables that a file exports, in the order of V8's array; null without the file. */
export type ExportedNames = (file: string) => readonly string[] | null;

/** The text of a string is not in the heap, so the source has the name. It is read when it is needed. */
export class ExportedVariable {
  /** The start of the module that declares it. */
  readonly position: CodePosition;
  /** The starts of the modules that import it by name. */
  readonly importers: readonly CodePosition[];
  /** The same in each snapshot of a process. */
  readonly key: string;
  readonly #findName: () => string | null;

  constructor(owner: CellUse, importers: readonly CodePosition[], findName: () => string | null) {
    this.position = owner.position;
    this.importers = importers;
    this.key = `export ${owner.index}`;
    this.#findName = findName;
  }

  get name(): string {
    return this.#findName() ?? this.key;
  }
}

/** An array of cells: a module of Node 20 to 26 has one for its exports, and after it one for its imports. */
interface CellUse {
  readonly position: CodePosition;
  /** The index of the array among the fields of the module. */
  readonly field: number;
  /** The index of the cell in the array, and the number of its cells. */
  readonly index: number;
  readonly length: number;
  /** The cell is in the module's table of exports. */
  readonly isExported: boolean;
}

/** The key is the object that the variable refers to. */
export function exportedVariables(
  heap: Heap,
  scripts: Scripts,
  namesOf: ExportedNames,
): ReadonlyMap<number, ExportedVariable> {
  const variables = new Map<number, ExportedVariable>();
  const moduleName = heap.names.indexOf('system / SourceTextModule');
  const uses = new Map<number, CellUse[]>();
  for (let node = 0; node < heap.nodeCount && moduleName >= 0; node += 1)
    if (heap.nodeName[node] === moduleName) addUses(heap, scripts, node, uses);
  for (const [cell, ofCell] of uses) {
    const value = edgeTarget(heap, cell, 'value');
    const owner = ofCell
      .filter(({ isExported }) => isExported)
      .reduce<CellUse | null>(
        (first, use) => (first === null || use.field < first.field ? use : first),
        null,
      );
    if (value < 0 || owner === null) continue;
    const importers = ofCell.filter((use) => use !== owner).map(({ position }) => position);
    const findName = (): string | null => {
      const names = namesOf(owner.position.file);
      return names?.length === owner.length ? names[owner.index]! : null;
    };
    variables.set(value, new ExportedVariable(owner, importers, findName));
  }
  return variables;
}

function addUses(heap: Heap, scripts: Scripts, module: number, uses: Map<number, CellUse[]>): void {
  const exported = new Set<number>();
  const arrays: { readonly field: number; readonly cells: readonly number[] }[] = [];
  let position: CodePosition | null = null;
  for (let edge = heap.firstEdge[module]!; edge < heap.firstEdge[module + 1]!; edge += 1) {
    const to = heap.edgeTo[edge]!;
    position ??= scripts.userPosition(to);
    if (heap.nodeType[to] !== NODE.array) continue;
    const { rows, cells } = readCells(heap, to);
    for (const cell of rows) exported.add(cell);
    if (cells.length > 0) arrays.push({ field: Number(edgeText(heap, edge)), cells });
  }
  if (position === null) return;
  for (const { field, cells } of arrays)
    for (const [index, cell] of cells.entries()) {
      const ofCell = uses.get(cell) ?? [];
      uses.set(cell, ofCell);
      ofCell.push({ position, field, index, length: cells.length, isExported: exported.has(cell) });
    }
}

/** `rows`: cells after their name, as in the table of exports. `cells`: those that follow each other, as in an array. */
function readCells(heap: Heap, array: number): { rows: readonly number[]; cells: readonly number[] } {
  const rows: number[] = [];
  const cells: number[] = [];
  let before = -1;
  for (let edge = heap.firstEdge[array]!; edge < heap.firstEdge[array + 1]!; edge += 1) {
    if ((heap.edgeLabel[edge]! & EDGE_TYPE_MASK) !== EDGE.internal) continue;
    const to = heap.edgeTo[edge]!;
    if (nodeText(heap, to) === 'system / Cell')
      (before >= 0 && heap.nodeType[before] === NODE.string ? rows : cells).push(to);
    before = to;
  }
  return { rows, cells };
}
