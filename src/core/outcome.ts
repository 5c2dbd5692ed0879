/** Makes the outcomes of a snapshot or an analysis: `refused` before it began, `failed` while it ran. */
import type { Failed, Refused } from '../types/index.ts';

/** WSGUARD codes (docs/errors.md) of Node's and the operating system's error codes. */
const CODES: Readonly<Record<string, string>> = {
  EACCES: 'WSGUARD_CAPTURE_DENIED',
  EPERM: 'WSGUARD_CAPTURE_DENIED',
  EROFS: 'WSGUARD_CAPTURE_DENIED',
  // Node's permission model without --allow-fs-write for the directory.
  ERR_ACCESS_DENIED: 'WSGUARD_CAPTURE_DENIED',
  ENOSPC: 'WSGUARD_CAPTURE_DISK_FULL',
  EDQUOT: 'WSGUARD_CAPTURE_DISK_FULL',
  EFBIG: 'WSGUARD_CAPTURE_DISK_FULL',
};

/** `reason` states the bytes in words, `needBytes` and `haveBytes` for programs. */
export const refused = (reason: string, bytes?: { needBytes: number; haveBytes: number }): Refused => ({
  outcome: 'refused',
  reason,
  ...(bytes === undefined
    ? {}
    : { needBytes: Math.round(bytes.needBytes), haveBytes: Math.round(bytes.haveBytes) }),
});

export const failed = (code: string, reason: string): Failed => ({ outcome: 'failed', code, reason });

/** `fallbackCode` is for errors that have no code in the table. A WSGUARD code stays. */
export function failureFrom(error: unknown, fallbackCode = 'WSGUARD_CAPTURE_FAILED'): Failed {
  const code = (error as NodeJS.ErrnoException | null)?.code ?? '';
  const ourCode = code.startsWith('WSGUARD_') ? code : (CODES[code] ?? fallbackCode);
  return failed(ourCode, error instanceof Error ? error.message : String(error));
}
