/** Finds servers that accept connections in native code: Node publishes none of their sockets, so the agent counts nothing. */
import type { Blind } from '../../types/index.ts';

/** uWebSockets.js loads `uws_<platform>_<arch>_<ABI>.node` through `require`, when it is imported as ESM too. */
const UWS_ADDON = /[\\/]uws_\w+\.node$/;
/** A server loads its addon while it starts. Later readings do not go through the list of loaded files again. */
const MAX_READINGS = 20;

export class NativeServers {
  readonly #loadedFiles: () => readonly string[];
  #readings = 0;
  #isFound = false;

  /** `loadedFiles`: the names in `require.cache`. */
  constructor(loadedFiles: () => readonly string[]) {
    this.#loadedFiles = loadedFiles;
  }

  blind(): Blind[] {
    if (!this.#isFound && this.#readings < MAX_READINGS) {
      this.#readings += 1;
      this.#isFound = this.#loadedFiles().some((file) => UWS_ADDON.test(file));
    }
    if (!this.#isFound) return [];
    return [
      {
        what: 'connections of uWebSockets.js',
        why: 'it accepts them in native code; register its collections with watchRegistry',
      },
    ];
  }
}
