const BACKSLASH = 92;
const LOWER_U = 117;
const ZERO = 48;
const NINE = 57;
const MASK = 120; // x
/** Digits after `\u`. */
const UNICODE_DIGITS = 4;
/** `\u0078` is the mask as V8 writes a character beyond ASCII: as many bytes in, as many out. */
const ESCAPED_MASK = [48, 48, 55, 56] as const;

/**
 * Writes a JSON string's inside with every letter an `x` and every digit a `0`; escapes stay escapes,
 * so the text keeps its length in UTF-16 (both halves of a surrogate pair become an x). Returns where it ended.
 */
export function maskInto(
  data: Uint8Array,
  start: number,
  end: number,
  to: { readonly output: Uint8Array; readonly at: number },
): number {
  const { output } = to;
  let out = to.at;
  let at = start;
  while (at < end) {
    const byte = data[at]!;
    if (byte >= 0x80) {
      // V8 writes ASCII only; in UTF-8 of others the first byte stands for the character, two units from F0 on.
      if (byte >= 0xc0) output[out++] = MASK;
      if (byte >= 0xf0) output[out++] = MASK;
      at += 1;
    } else if (byte !== BACKSLASH) {
      output[out++] = byte >= ZERO && byte <= NINE ? ZERO : MASK;
      at += 1;
    } else if (data[at + 1] === LOWER_U && at + 2 + UNICODE_DIGITS <= end) {
      output[out++] = BACKSLASH;
      output[out++] = LOWER_U;
      for (const digit of ESCAPED_MASK) output[out++] = digit;
      at += 2 + UNICODE_DIGITS;
    } else {
      // `\n`, `\"` and their like say no more than punctuation does.
      output[out++] = BACKSLASH;
      output[out++] = data[at + 1]!;
      at += 2;
    }
  }
  return out;
}
