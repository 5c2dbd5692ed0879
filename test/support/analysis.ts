import type { Analysis, Suspect } from '../../src/types/index.ts';

/** A registry that grows. Tests override the fields that they are about. */
export const suspectOf = (more: Partial<Suspect> = {}): Suspect => ({
  rank: 1,
  name: 'clients',
  type: 'Map',
  path: ['clients'],
  location: { file: 'server.js', line: 41, function: 'onConnection', package: null },
  objects: 1_200,
  retainedBytes: 4_000_000,
  growth: { objects: 300, bytes: 1_000_000 },
  confidence: 0.9,
  containers: 1,
  entries: 'WebSocket',
  example: [],
  otherRetainers: [],
  notes: [],
  known: null,
  steps: [],
  shared: [],
  ...more,
});

export const analysisOf = (...suspects: Suspect[]): Analysis => ({
  schema: 'wsguard.analysis/1',
  snapshots: [],
  suspects,
  clean: suspects.length === 0,
  because: 'of this test',
  matchedBy: null,
  growing: [],
  holders: [],
  classes: [],
  external: [],
  connections: null,
});
