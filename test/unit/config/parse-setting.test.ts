import { nearestName } from '../../../src/config/nearest-name.ts';
import {
  checkValue,
  describeExpected,
  parseText,
  type AnySetting,
} from '../../../src/config/parse-setting.ts';
import { SCHEMA } from '../../../src/config/schema.ts';

const settingOf = (type: AnySetting['type'], details: Partial<AnySetting> = {}): AnySetting => ({
  env: 'WSGUARD_TEST',
  type,
  default: null,
  meaning: '',
  ...details,
});

const ON_OFF = settingOf('choice', { choices: ['auto', 'on', 'off'] });
const PORT = settingOf('integer', { min: 0, max: 65_535 });
const LIST = settingOf('list');

const valueOf = (parsed: ReturnType<typeof parseText>): unknown => (parsed.ok ? parsed.value : 'invalid');

test.each<[AnySetting, string, unknown]>([
  [settingOf('boolean'), ' YES ', true],
  [settingOf('boolean'), '0', false],
  [settingOf('boolean'), 'maybe', 'invalid'],
  [PORT, '+80', 80],
  [PORT, '80.5', 'invalid'],
  [PORT, '0x50', 'invalid'],
  [PORT, '65536', 'invalid'],
  [PORT, '99999999999999999999', 'invalid'],
  [settingOf('number'), '.5', 0.5],
  [settingOf('number'), '1e3', 1000],
  [settingOf('number'), '1e999', 'invalid'],
  [settingOf('number'), '', 'invalid'],
  [ON_OFF, 'AUTO', 'auto'],
  [ON_OFF, 'yes', 'on'],
  [ON_OFF, 'false', 'off'],
  [ON_OFF, 'never', 'invalid'],
  [settingOf('choice', { choices: ['a', 'b'] }), 'true', 'invalid'],
  [settingOf('url'), ' https://example.org/x ', 'https://example.org/x'],
  [settingOf('url'), 'ftp://example.org', 'invalid'],
  [settingOf('url'), 'example.org', 'invalid'],
  [settingOf('string'), ' text ', 'text'],
  [settingOf('string'), '  ', 'invalid'],
])('the text of %p, %p, is %p', (setting, text, expected) => {
  expect(valueOf(parseText(setting, text))).toEqual(expected);
});

test('a list is split at commas, trimmed and frozen; each entry needs a date', () => {
  const parsed = valueOf(parseText(LIST, ' abc:2026-12-01 ,, def:2026-12-02T10:00:00Z '));
  expect(parsed).toEqual(['abc:2026-12-01', 'def:2026-12-02T10:00:00Z']);
  expect(Object.isFrozen(parsed)).toBe(true);
  expect(valueOf(parseText(LIST, 'abc'))).toBe('invalid');
  expect(valueOf(parseText(LIST, ':2026-12-01'))).toBe('invalid');
  expect(valueOf(checkValue(LIST, [1]))).toBe('invalid');
  expect(valueOf(checkValue(LIST, 'abc:2026-12-01'))).toBe('invalid');
});

test.each<[AnySetting, unknown, unknown]>([
  [settingOf('boolean'), true, true],
  [settingOf('boolean'), 'true', 'invalid'],
  [PORT, 80, 80],
  [PORT, '80', 'invalid'],
  [PORT, Number.NaN, 'invalid'],
  [PORT, -1, 'invalid'],
  [ON_OFF, true, 'on'],
  [ON_OFF, 1, 'invalid'],
  [settingOf('url'), 7, 'invalid'],
  [settingOf('string'), '', 'invalid'],
])('the typed value of %p, %p, is %p', (setting, value, expected) => {
  expect(valueOf(checkValue(setting, value))).toEqual(expected);
});

test.each<[AnySetting, string]>([
  [settingOf('boolean'), 'true or false'],
  [PORT, 'a whole number from 0 to 65535'],
  [settingOf('integer', { min: 1 }), 'a whole number of at least 1'],
  [settingOf('number'), 'a number'],
  [ON_OFF, 'one of auto, on, off'],
  [LIST, 'fingerprint:until, comma separated, until as an ISO date'],
  [settingOf('url'), 'an http or https URL'],
  [settingOf('string'), 'text that is not empty'],
])('%p accepts %s', (setting, text) => {
  expect(describeExpected(setting)).toBe(text);
});

test.each([
  ['interval', 'intervalMs'],
  ['intervalMS', 'intervalMs'],
  ['lgo', null],
  ['bogus', null],
  ['', null],
])('the nearest name of %p is %p', (name, expected) => {
  expect(nearestName(name, ['log', 'intervalMs', 'dir'])).toBe(expected);
});

test('a number that may stand for a choice has its unit in what is expected', () => {
  expect(describeExpected(SCHEMA.audit)).toBe('one of auto, off, or a number of minutes from 5 to 10080');
});
