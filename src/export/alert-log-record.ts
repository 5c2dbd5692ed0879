/** Converts an alert into an OpenTelemetry log record. Pure. */
import type { Alert, Evidence } from '../types/index.ts';

export interface AlertLogRecord {
  readonly eventName: string;
  readonly timestamp: Date;
  readonly severityNumber: 13 | 17;
  readonly severityText: 'WARN' | 'ERROR';
  readonly body: string;
  readonly attributes: Record<string, string | number | boolean>;
}

const EVENT_NAME = 'wsguard.alert';

export function alertLogRecord(alert: Alert): AlertLogRecord {
  const isCritical = alert.severity === 'critical';
  return {
    eventName: EVENT_NAME,
    timestamp: new Date(alert.at),
    severityNumber: isCritical ? 17 : 13,
    severityText: isCritical ? 'ERROR' : 'WARN',
    body: alert.title,
    // OpenTelemetry moved the event name from an attribute to a field of the record. Receivers read one or the other.
    attributes: { 'event.name': EVENT_NAME, ...attributesOf(alert) },
  };
}

function attributesOf(alert: Alert): Record<string, string | number | boolean> {
  const { culprit, timeToLimit } = alert;
  const attributes: Record<string, unknown> = {
    id: alert.id,
    fingerprint: alert.fingerprint,
    event: alert.event,
    n: alert.n,
    kind: alert.kind,
    family: alert.family,
    severity: alert.severity,
    subject: alert.subject,
    because: alert.because,
    advice: alert.advice,
    docs: alert.docs,
    report: alert.report,
    muted: alert.muted,
    time_scale: alert.timeScale,
    uptime_ms: alert.uptimeMs,
    'culprit.text': culprit?.text,
    'culprit.name': culprit?.name,
    'culprit.file': culprit?.file,
    'culprit.line': culprit?.line,
    'culprit.function': culprit?.function,
    'culprit.package': culprit?.package,
    'culprit.confidence': culprit?.confidence,
    'culprit.because': alert.culpritBecause,
    'time_to_limit.ms': timeToLimit?.ms,
    'time_to_limit.low_ms': timeToLimit?.lowMs,
    'time_to_limit.high_ms': timeToLimit?.highMs,
    'time_to_limit.limit': timeToLimit?.limit,
    ...Object.fromEntries(alert.evidence.map((evidence) => [`evidence.${evidence.name}`, evidence.value])),
    'evidence.text': alert.evidence.map(evidenceText).join('; '),
    snapshots: alert.snapshots.map(({ outcome }) => outcome).join(','),
  };
  return Object.fromEntries(
    Object.entries(attributes)
      .filter((entry): entry is [string, string | number | boolean] => isPresent(entry[1]))
      .map(([name, value]) => [`wsguard.alert.${name}`, value]),
  );
}

const isPresent = (value: unknown): boolean => value !== undefined && value !== null && value !== '';

const evidenceText = ({ name, value, unit, threshold }: Evidence): string =>
  `${name} ${value} ${unit}${threshold === undefined ? '' : ` (threshold ${threshold})`}`;
