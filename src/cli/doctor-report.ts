/** The answer of `wsguard doctor`: its checks, and their text. Pure. */
import type { ConfigProblem } from '../config/schema.ts';
import { problemText } from '../config/load-config.ts';

export interface Check {
  readonly what: string;
  /** `off` is a choice in the settings; `unknown` means that the check was not possible. */
  readonly works: 'yes' | 'no' | 'partly' | 'off' | 'unknown';
  readonly detail: string;
}

export interface DoctorReport {
  readonly checks: readonly Check[];
  /** Settings that are ignored. */
  readonly problems: readonly ConfigProblem[];
}

export const check = (what: string, works: Check['works'], detail: string): Check => ({
  what,
  works,
  detail,
});

const LABELS: Readonly<Record<Check['works'], string>> = {
  yes: 'ok',
  no: 'NO',
  partly: 'partly',
  off: 'off',
  unknown: '?',
};

/** One line per check, then one line per ignored setting. A value of the process must not look like a line of its own. */
export function doctorText({ checks, problems }: DoctorReport): string {
  const settings = problems.map((problem) => check('setting', 'no', problemText(problem)));
  const lines = [...checks, ...settings];
  const width = Math.max(...lines.map(({ what }) => what.length));
  return lines
    .map(
      ({ what, works, detail }) =>
        `${LABELS[works].padEnd(7)}${what.padEnd(width)}  ${detail.replaceAll('\n', '\\n')}\n`,
    )
    .join('');
}
