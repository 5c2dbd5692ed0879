import type { MetricState } from '../../src/export/metric.ts';
import { sampleOf } from './samples.ts';

/** What the metrics read of a quiet server; tests change what they are about. */
export const stateOf = (more: Partial<MetricState> = {}): MetricState => ({
  sample: sampleOf(),
  floorBytes: null,
  openAlerts: [],
  timeToLimit: null,
  growthBytesPerHour: {},
  snapshots: [],
  agent: {},
  ...more,
});
