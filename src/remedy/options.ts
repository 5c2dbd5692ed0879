/** Checks of the options of the remedies, so that a mistake fails at the call and not later as a strange behaviour. */

/** setInterval of Node runs a task every millisecond when its delay is larger than this. */
const MAX_TIMER_MS = 2 ** 31 - 1;

interface Rule {
  readonly isValid: (value: unknown) => boolean;
  readonly expected: string;
}

const isNumber = (value: unknown): value is number => typeof value === 'number' && !Number.isNaN(value);

/** The delay of a timer. */
export const TIMER: Rule = {
  isValid: (value) => isNumber(value) && value >= 1 && value <= MAX_TIMER_MS,
  expected: `milliseconds from 1 to ${MAX_TIMER_MS}`,
};

/** `Infinity` means without a limit. */
export const atLeast = (minimum: number): Rule => ({
  isValid: (value) => isNumber(value) && value >= minimum,
  expected: `a number of at least ${minimum}`,
});

export const oneOf = (...names: readonly string[]): Rule => ({
  isValid: (value) => names.includes(value as string),
  expected: `one of ${names.map((name) => `'${name}'`).join(', ')}`,
});

/** RFC 6455: 1000 to 1014 are defined, 3000 to 4999 are free for applications. ws refuses the reserved ones. */
export const CLOSE_CODE: Rule = {
  isValid: (value) =>
    isNumber(value) &&
    Number.isInteger(value) &&
    ((value >= 1000 && value <= 1014 && ![1004, 1005, 1006].includes(value)) ||
      (value >= 3000 && value <= 4999)),
  expected: 'a close code that may be sent, such as 1001 or 4000',
};

export const TEXT: Rule = {
  isValid: (value) => typeof value === 'string' && value !== '',
  expected: 'a string that is not empty',
};

/** @throws TypeError with the code WSGUARD_REMEDY_ARGUMENT for an option that is set and not valid. */
export function checkOptions(part: string, options: object, rules: Readonly<Record<string, Rule>>): void {
  for (const [name, { isValid, expected }] of Object.entries(rules)) {
    const value = (options as Readonly<Record<string, unknown>>)[name];
    if (value !== undefined && !isValid(value)) throw argumentError(part, name, expected, value);
  }
}

/** @throws TypeError with the code WSGUARD_REMEDY_ARGUMENT when `value` lacks one of the methods. */
export function checkMethods(
  part: string,
  expected: string,
  value: unknown,
  methods: readonly string[],
): void {
  const members = (value ?? {}) as Readonly<Record<string, unknown>>;
  if (methods.some((method) => typeof members[method] !== 'function'))
    throw argumentError(part, 'the first argument', expected, value);
}

function argumentError(part: string, name: string, expected: string, value: unknown): TypeError {
  const received = typeof value === 'string' || typeof value === 'number' ? `${value}` : typeof value;
  const error = new TypeError(`wsguard: ${part} expects for ${name} ${expected}, got ${received}`);
  return Object.assign(error, { code: 'WSGUARD_REMEDY_ARGUMENT' });
}
