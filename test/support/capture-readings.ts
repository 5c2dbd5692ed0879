import type { CaptureReadings } from '../../src/types/index.ts';

export const MIB = 1024 * 1024;

/** A small heap in a container of 1 GiB. Tests override the fields that they are about. */
export const captureReadings = (over: Partial<CaptureReadings> = {}): CaptureReadings => ({
  heapBytes: 12 * MIB,
  largeObjectBytes: 0,
  oldSpaceBytes: 11 * MIB,
  heapCapacityBytes: 2000 * MIB,
  slackBytes: 20 * MIB,
  rssBytes: 90 * MIB,
  containerBytes: 1024 * MIB,
  containerUsedBytes: 100 * MIB,
  availableBytes: 8000 * MIB,
  diskFreeBytes: 10_000 * MIB,
  spillUnavailable: null,
  loop: { activeMs: 0, atMs: 0 },
  nodeMajor: 20,
  cpuShare: 1,
  forkUnavailable: null,
  directoryRefused: null,
  ...over,
});
