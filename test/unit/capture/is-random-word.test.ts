import { isRandomWord } from '../../../src/capture/is-random-word.ts';

test.each(['listenerCount', 'HTTPParser', 'connections', 'sha256', 'utf8', 'e', '________', '12345678z'])(
  '%s is not a random word',
  (word) => expect(isRandomWord(word)).toBe(false),
);

test.each(['a1b2c3d4', 'deadbeefdeadbeef', 'kXqJdVvLaQ', 'qwzkxvbnmh', 'V1StGXR8Z5jd'])(
  '%s is a random word',
  (word) => expect(isRandomWord(word)).toBe(true),
);
