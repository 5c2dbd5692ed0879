import { failureFrom, refused } from '../../../src/core/outcome.ts';

test.each([
  ['EACCES', 'WSGUARD_CAPTURE_DENIED'],
  ['EROFS', 'WSGUARD_CAPTURE_DENIED'],
  ['ERR_ACCESS_DENIED', 'WSGUARD_CAPTURE_DENIED'],
  ['ENOSPC', 'WSGUARD_CAPTURE_DISK_FULL'],
  ['EDQUOT', 'WSGUARD_CAPTURE_DISK_FULL'],
  ['ENOTDIR', 'WSGUARD_CAPTURE_FAILED'],
  ['WSGUARD_SNAPSHOT_META', 'WSGUARD_SNAPSHOT_META'],
])('the error code %s becomes %s', (code, expected) => {
  expect(failureFrom(Object.assign(new Error('why'), { code }))).toEqual({
    outcome: 'failed',
    code: expected,
    reason: 'why',
  });
});

test('an error without a code gets the fallback code, and a thrown value its text', () => {
  expect(failureFrom(new Error('why'), 'WSGUARD_PROFILE_FAILED').code).toBe('WSGUARD_PROFILE_FAILED');
  expect(failureFrom('a text')).toEqual({
    outcome: 'failed',
    code: 'WSGUARD_CAPTURE_FAILED',
    reason: 'a text',
  });
  expect(failureFrom(null)).toMatchObject({ code: 'WSGUARD_CAPTURE_FAILED', reason: 'null' });
});

test('a refusal has whole bytes, or none', () => {
  expect(refused('full')).toEqual({ outcome: 'refused', reason: 'full' });
  expect(refused('full', { needBytes: 7.6, haveBytes: 2.2 })).toEqual({
    outcome: 'refused',
    reason: 'full',
    needBytes: 8,
    haveBytes: 2,
  });
});
