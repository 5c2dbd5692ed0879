import { NODE, follow } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';

/**
 * Node keeps the timers of one duration in a ring of links both ways, with a `TimersList` at its head. Who holds one of
 * them reaches all, so neither paths nor dominators tell the list from a field that keeps a timer: they are counted as
 * entries of the list.
 */
export const isTimersList = (heap: Heap, node: number): boolean =>
  heap.nodeName[node] === heap.names.word('TimersList') && heap.nodeType[node] === NODE.object;

/** The newest first. */
export function* timersIn(heap: Heap, list: number): Generator<number> {
  // A timer has one neighbour before it, so no file can lead two walks over the same one, or one walk round for ever.
  for (let before = list; ;) {
    const timer = follow(heap, before, '_idleNext');
    if (timer < 0 || timer === list || follow(heap, timer, '_idlePrev') !== before) return;
    yield timer;
    before = timer;
  }
}
