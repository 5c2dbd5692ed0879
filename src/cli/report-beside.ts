/** The report that the agent wrote into the folder of an alert, beside its snapshots. */
import { readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { connectionsServed } from '../report/connection-counts.ts';
import type { Analysis, ReportPoint } from '../types/index.ts';

const MOST_BYTES = 16 * 1024 ** 2;

/** What it counted between the snapshots joins the analysis; without it, or with one of another kind, nothing does. */
export function withServed(analysis: Analysis, files: readonly string[]): Analysis {
  const folders = new Set(files.map((file) => dirname(file)));
  const [folder] = folders;
  if (files.length < 2 || files.includes('-') || folders.size !== 1) return analysis;
  const served = connectionsServed(pointsOf(join(folder!, 'report.json')), files);
  return served === null ? analysis : { ...analysis, served };
}

function pointsOf(file: string): readonly ReportPoint[] {
  try {
    if (statSync(file).size > MOST_BYTES) return [];
    const { schema, samples } = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    return schema === 'wsguard.report/1' && Array.isArray(samples) ? samples.filter(isPoint) : [];
  } catch {
    return [];
  }
}

const isPoint = (value: unknown): value is ReportPoint => {
  const { wallMs, opened, closed } = Object(value) as Record<string, unknown>;
  return [wallMs, opened, closed].every((each) => typeof each === 'number');
};
