/** One line of `wsguard doctor`. */
export interface Check {
  readonly what: string;
  /** `off` is a choice of the settings, `unknown` could not be looked at. */
  readonly works: 'yes' | 'no' | 'partly' | 'off' | 'unknown';
  readonly detail: string;
}

export const check = (what: string, works: Check['works'], detail: string): Check => ({
  what,
  works,
  detail,
});

const MARKS: Readonly<Record<Check['works'], string>> = {
  yes: 'ok',
  no: 'NO',
  partly: 'partly',
  off: 'off',
  unknown: '?',
};

export const checkLines = (checks: readonly Check[]): string => {
  const width = Math.max(...checks.map(({ what }) => what.length));
  return checks
    .map(({ what, works, detail }) => `${MARKS[works].padEnd(7)}${what.padEnd(width)}  ${detail}\n`)
    .join('');
};
