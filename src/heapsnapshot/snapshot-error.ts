/** `SnapshotError`: a heap snapshot that cannot be read, with a code and a hint. docs/errors.md explains each code. */
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
  WSGUARD_SNAPSHOT_COUNTS:
    'The header and the sections of the file disagree. Take the snapshot or copy the file again.',
  WSGUARD_SNAPSHOT_EDGES:
    'The file refers to nodes that do not exist. Take the snapshot or copy the file again.',
  WSGUARD_SNAPSHOT_GZIP: 'Run `gzip -t <file>` to see the damage, then copy the file again.',
  WSGUARD_SNAPSHOT_META:
    'The layout is not one that V8 of Node 18 to 26 writes. Check whether another tool wrote the file.',
  WSGUARD_SNAPSHOT_NOT_ONE:
    'Pass a .heapsnapshot file as v8.writeHeapSnapshot() writes it, plain or gzipped.',
  WSGUARD_SNAPSHOT_STRINGS: 'The string table is damaged. Take the snapshot or copy the file again.',
  WSGUARD_SNAPSHOT_SYNTAX: 'The file is damaged at that offset. Take the snapshot or copy the file again.',
  WSGUARD_SNAPSHOT_TOO_LARGE: 'Analyse it on a machine with more memory.',
  WSGUARD_SNAPSHOT_TRUNCATED:
    'The file ends too early. Check whether it was still being written and whether the disk was full.',
  WSGUARD_SNAPSHOT_UNREADABLE: 'Check the path and the permissions (snapshots have the mode 0600).',
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
