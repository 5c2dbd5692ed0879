/** Runs a major GC in this process, after the present job: until its end V8 keeps the targets of new weak references. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

export async function majorGc(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
  collect();
}
