import type { MetricState } from '../../src/export/metric.ts';
import { sampleOf } from './samples.ts';

/** The metric state of an idle server. Tests override the fields that they are about. */
export const stateOf = (more: Partial<MetricState> = {}): MetricState => ({
  sample: sampleOf(),
  postGcHeapBytes: null,
  openAlerts: [],
  timeToLimit: null,
  growthBytesPerHour: {},
  snapshots: [],
  audits: {},
  suspects: null,
  refusedBytes: null,
  agent: {},
  ...more,
});
