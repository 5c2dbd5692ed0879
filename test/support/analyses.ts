/** Analyses and suspects with all fields. Tests override the fields that they are about. */
import type { Analysis, ClassRow, Suspect } from '../../src/types/index.ts';

export const suspectOf = (more: Partial<Suspect> = {}): Suspect => ({
  rank: 1,
  name: 'server.rooms',
  type: 'Map',
  path: ['server', '.rooms', '.get("lobby")', '.members'],
  location: { file: '/srv/app/connections.js', line: 41, function: 'onConnection', package: null },
  objects: 2500,
  retainedBytes: 48_000_000,
  growth: { objects: 1912, bytes: 41_000_000 },
  confidence: 0.92,
  containers: 1,
  entries: 'WebSocket',
  example: [{ name: 'id', is: 'string' }],
  otherRetainers: ['bus._events.message'],
  notes: ['1,900 of the sockets among them are closed.'],
  known: null,
  steps: [],
  shared: [],
  ...more,
});

export const classRow = (name: string, objects = 10): ClassRow => ({
  name,
  objects,
  bytes: objects * 100,
  growth: { objects: objects - 5, bytes: (objects - 5) * 100 },
});

export const analysisOf = (more: Partial<Analysis> = {}): Analysis => ({
  schema: 'wsguard.analysis/1',
  snapshots: [
    { file: 'heap-1795337736734-a.heapsnapshot', nodes: 509_850, edges: 2_199_210, selfBytes: 36_349_630 },
    { file: 'heap-1795337797414-b.heapsnapshot', nodes: 806_650, edges: 3_034_700, selfBytes: 78_558_070 },
  ],
  suspects: [suspectOf()],
  clean: false,
  because: 'Containers that were there before gained entries.',
  matchedBy: 'id',
  growing: [],
  holders: [],
  classes: [classRow('WebSocket')],
  external: [],
  connections: null,
  ...more,
});

/** A registry `clients` that grows by 300 entries. */
export const clientsSuspect = (more: Partial<Suspect> = {}): Suspect =>
  suspectOf({
    name: 'clients',
    path: ['clients'],
    location: { file: 'server.js', line: 41, function: 'onConnection', package: null },
    objects: 1_200,
    retainedBytes: 4_000_000,
    growth: { objects: 300, bytes: 1_000_000 },
    confidence: 0.9,
    example: [],
    otherRetainers: [],
    notes: [],
    ...more,
  });

/** An analysis with these suspects and nothing else. */
export const analysisWith = (...suspects: Suspect[]): Analysis =>
  analysisOf({
    snapshots: [],
    suspects,
    clean: suspects.length === 0,
    because: 'of this test',
    matchedBy: null,
    classes: [],
  });
