import type { Heap } from '../../src/analyse/graph/heap.ts';
import { HeapBuilder } from '../../src/analyse/graph/heap-builder.ts';
import { Tokenizer } from '../../src/heapsnapshot/tokenizer.ts';
import type { HeapSnapshotBuilder } from './heap-snapshot-builder.ts';

/** Writes a built snapshot in the file format and reads it back as the analysis does. */
export function heapOf(builder: HeapSnapshotBuilder, withShapes = true): Heap {
  return heapOfBytes(builder.toBuffer(), withShapes);
}

export function heapOfBytes(bytes: Uint8Array, withShapes = true): Heap {
  const sink = new HeapBuilder(bytes.length, withShapes);
  const tokenizer = new Tokenizer(sink);
  for (let at = 0; at < bytes.length; at += 1 << 20) tokenizer.write(bytes.subarray(at, at + (1 << 20)));
  tokenizer.end();
  return sink.finish();
}
