/**
 * Gives the objects of a snapshot the ids that they have in an earlier one. Two forked children number the same object
 * differently, and tools that compare by id (DevTools, memlab) would show everything as new.
 */
import { renameSync } from 'node:fs';
import { analysisRssBytes } from '../capture/predict-cost.ts';
import { temporaryName, unpackedBytes } from '../capture/snapshot-files.ts';
import { RENUMBERING } from '../child-process/entries.ts';
import { removeFile } from '../core/folders.ts';
import { failureFrom } from '../core/outcome.ts';
import type { Failed, Refused } from '../types/index.ts';
import { runAlone, type JobOptions } from './jobs.ts';

/** Never rejects. When there is an outcome, the file is as it was. */
export async function renumberLike(
  options: JobOptions,
  { earlier, file }: { readonly earlier: string; readonly file: string },
): Promise<Refused | Failed | null> {
  const to = temporaryName(`${file}.renumbered`);
  const removeUnfinished = (): void => void removeFile(to);
  process.once('exit', removeUnfinished);
  try {
    // Both graphs are in memory at the same time.
    const needBytes = analysisRssBytes([earlier, file].map(unpackedBytes));
    const outcome = await runAlone(options, { entry: RENUMBERING, job: { earlier, file, to }, needBytes });
    if (outcome.outcome !== 'done') return outcome;
    renameSync(to, file);
    return null;
  } catch (error) {
    return failureFrom(error, 'WSGUARD_ANALYSIS_FAILED');
  } finally {
    process.off('exit', removeUnfinished);
    removeUnfinished();
  }
}
