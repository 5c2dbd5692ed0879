import fs from 'node:fs';
import { createStderrWriter, stderrFile } from '../../../src/core/stderr.ts';

/** A pipe with room for `room` bytes; null: the write fails. */
function open() {
  let room: number | null = Infinity;
  let text = '';
  const write = createStderrWriter(null, (bytes) => {
    if (room === null) throw Object.assign(new Error('full'), { code: 'EAGAIN' });
    const written = Math.min(room, bytes.length);
    text += bytes.toString('utf8', 0, written);
    return written;
  });
  return { write, text: () => text, setRoom: (bytes: number | null) => void (room = bytes) };
}

test('nothing is written when descriptor 2 is not the file that it was', () => {
  const written: number[] = [];
  jest.spyOn(fs, 'writeSync').mockImplementation((descriptor) => written.push(descriptor));
  // The stderr of the test's process may be a socket that waits: Jest opens its stream in some processes only.
  const flags = fs.constants.O_WRONLY | fs.constants.O_NONBLOCK;
  jest.spyOn(fs, 'readFileSync').mockReturnValue(`flags:\t0${flags.toString(8)}\n`);
  createStderrWriter({ dev: -1n, ino: -1n })('{"a":1}\n');
  createStderrWriter(null)('{"a":1}\n');
  expect(written).toEqual([]);
  createStderrWriter(stderrFile())('{"a":1}\n');
  expect(written).toHaveLength(1);
  jest.restoreAllMocks();
});

test('drops and counts lines while there is no room', () => {
  const stderr = open();
  stderr.write('{"a":1}\n');
  stderr.setRoom(null);
  expect(() => stderr.write('{"a":2}\n')).not.toThrow();
  stderr.write('{"a":3}\n');
  stderr.setRoom(Infinity);
  stderr.write('{"a":4}\n');
  stderr.write('{"a":5}\n');
  const lines = stderr
    .text()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(lines).toEqual([{ a: 1 }, expect.objectContaining({ dropped: 2 }), { a: 4 }, { a: 5 }]);
});

test('the line after a torn one starts on a line of its own', () => {
  const stderr = open();
  stderr.setRoom(4);
  stderr.write('{"a":1}\n');
  stderr.setRoom(null);
  stderr.write('{"a":2}\n');
  stderr.setRoom(Infinity);
  stderr.write('{"a":3}\n');
  const [torn, note, last] = stderr.text().split('\n');
  expect(torn).toBe('{"a"');
  expect(JSON.parse(note ?? '')).toMatchObject({ dropped: 2 });
  expect(last).toBe('{"a":3}');
});
