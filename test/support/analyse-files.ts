/** `analyseFiles` for tests: validates the analysis against docs/schema. */
import { analyseFiles as analyse } from '../../src/analyse/index.ts';
import { expectValid } from './schemas.ts';

export const analyseFiles: typeof analyse = async (...args) =>
  expectValid('analysis', await analyse(...args));
