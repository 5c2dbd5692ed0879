/** What can be wrong with a snapshot; each is a heading in docs/errors.md. */
export type SnapshotErrorCode =
  | 'WSGUARD_SNAPSHOT_COUNTS'
  | 'WSGUARD_SNAPSHOT_EDGES'
  | 'WSGUARD_SNAPSHOT_GZIP'
  | 'WSGUARD_SNAPSHOT_META'
  | 'WSGUARD_SNAPSHOT_NOT_ONE'
  | 'WSGUARD_SNAPSHOT_STRINGS'
  | 'WSGUARD_SNAPSHOT_SYNTAX'
  | 'WSGUARD_SNAPSHOT_TOO_LARGE'
  | 'WSGUARD_SNAPSHOT_TRUNCATED'
  | 'WSGUARD_SNAPSHOT_UNREADABLE';

const HINTS: Readonly<Record<SnapshotErrorCode, string>> = {
  WSGUARD_SNAPSHOT_COUNTS: 'The header and the sections disagree: take the snapshot or copy the file again.',
  WSGUARD_SNAPSHOT_EDGES: 'The graph points outside itself: take the snapshot or copy the file again.',
  WSGUARD_SNAPSHOT_GZIP: 'Unpack it with `gzip -t <file>` to see the damage, then copy it again.',
  WSGUARD_SNAPSHOT_META:
    'The layout is not one that V8 of Node 18 to 26 writes: was the file made by another tool?',
  WSGUARD_SNAPSHOT_NOT_ONE: 'Give a .heapsnapshot file as v8.writeHeapSnapshot() writes it, or that gzipped.',
  WSGUARD_SNAPSHOT_STRINGS: 'The table of strings is damaged: take the snapshot or copy the file again.',
  WSGUARD_SNAPSHOT_SYNTAX: 'The file is damaged at that offset: take the snapshot or copy the file again.',
  WSGUARD_SNAPSHOT_TOO_LARGE: 'Analyse it on a machine with more memory.',
  WSGUARD_SNAPSHOT_TRUNCATED:
    'It ends too early: was it still being written, or the disk full? V8 fills the file at the very end.',
  WSGUARD_SNAPSHOT_UNREADABLE: 'Check the path and the rights (snapshots are 0600).',
};

export class SnapshotError extends Error {
  readonly code: SnapshotErrorCode;
  readonly hint: string;

  constructor(code: SnapshotErrorCode, message: string) {
    super(message);
    this.name = 'SnapshotError';
    this.code = code;
    this.hint = HINTS[code];
  }
}
