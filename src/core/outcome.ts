/** Errors of the file system as outcomes with codes of ours. */

import type { Failed } from '../types/index.ts';

const CODES: Readonly<Record<string, string>> = {
  EACCES: 'WSGUARD_CAPTURE_DENIED',
  EPERM: 'WSGUARD_CAPTURE_DENIED',
  EROFS: 'WSGUARD_CAPTURE_DENIED',
  // `--permission` without --allow-fs-write for the directory.
  ERR_ACCESS_DENIED: 'WSGUARD_CAPTURE_DENIED',
  ENOSPC: 'WSGUARD_CAPTURE_DISK_FULL',
  EDQUOT: 'WSGUARD_CAPTURE_DISK_FULL',
  EFBIG: 'WSGUARD_CAPTURE_DISK_FULL',
};

export function failureFrom(error: unknown, fallback = 'WSGUARD_CAPTURE_FAILED'): Failed {
  const code = (error as NodeJS.ErrnoException | null)?.code ?? '';
  return {
    outcome: 'failed',
    code: code.startsWith('WSGUARD_') ? code : (CODES[code] ?? fallback),
    reason: error instanceof Error ? error.message : String(error),
  };
}
