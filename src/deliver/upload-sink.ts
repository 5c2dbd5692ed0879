/** The outbox of snapshot files. Unredacted files leave the machine only with WSGUARD_REDACT=off. */
import { resolve, sep } from 'node:path';
import type { Delivery } from '../types/index.ts';
import type { Attempt } from './outbox.ts';
import { createSink, type Sink, type SinkOptions } from './sink.ts';

export interface UploadFile {
  readonly alertId: string;
  /** Absolute path. */
  readonly file: string;
  readonly redacted: boolean;
  /** Id of a multipart upload that began and has not ended (S3). */
  readonly multipartId?: string;
}

export interface UploadSinkOptions extends SinkOptions {
  /** WSGUARD_REDACT. */
  readonly redact: 'on' | 'off';
}

interface UploadParts {
  readonly name: 'upload' | 's3';
  readonly attempt: (file: UploadFile, save: (file: UploadFile) => void) => Promise<Attempt>;
}

/** docs/errors.md promises this number. */
const MAX_PENDING = 64;

export function createUploadSink(
  options: UploadSinkOptions,
  { name, attempt }: UploadParts,
): Sink<UploadFile> {
  const refusal = ({ file, redacted }: UploadFile): Delivery | null =>
    redacted || options.redact === 'off'
      ? null
      : {
          outcome: 'dropped',
          code: 'WSGUARD_UPLOAD_NOT_REDACTED',
          reason: `${file} is not redacted; WSGUARD_REDACT=off allows its upload`,
        };
  const sink = createSink<UploadFile>(options, {
    name,
    maxItems: MAX_PENDING,
    isItem: (value): value is UploadFile => isUploadFile(value, options.outbox?.dir ?? null),
    // The setting may have changed since an earlier process stored the file's name.
    attempt: async (file, save) => refusal(file) ?? attempt(file, save),
  });
  return {
    ...sink,
    send: (file) => {
      const refused = refusal(file);
      return refused === null ? sink.send(file) : Promise.resolve(refused);
    },
  };
}

/** The alert's id becomes a part of a URL. */
const ALERT_ID = /^[\w-]{1,100}$/;

/** A file that was read from disk may name only files below WSGUARD_DIR. */
function isUploadFile(value: unknown, dir: string | null): value is UploadFile {
  if (typeof value !== 'object' || value === null || dir === null) return false;
  const { alertId, file, redacted, multipartId } = value as Record<keyof UploadFile, unknown>;
  return (
    typeof alertId === 'string' &&
    ALERT_ID.test(alertId) &&
    typeof file === 'string' &&
    resolve(file).startsWith(resolve(dir) + sep) &&
    typeof redacted === 'boolean' &&
    (multipartId === undefined || typeof multipartId === 'string')
  );
}
