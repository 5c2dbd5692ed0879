/**
 * Notices the application's own allocation profile. V8 has one sampling heap profiler per thread: while the agent's runs, a
 * start by the application would keep the agent's interval, and the agent's stop would end it.
 */
import type { Session } from 'node:inspector';
import type { Stop } from '../types/index.ts';

const START = 'HeapProfiler.startSampling';
type Post = (this: unknown, ...args: unknown[]) => unknown;

/**
 * Wraps `post` of the inspector's sessions until `Stop`. `onStart` runs before a profile of another session than `own`
 * starts. A profiler in native code and a debugger that is attached to the process are not noticed.
 */
export function watchForOtherProfiles(own: Session, onStart: () => void): Stop {
  const stops = sessionPrototypes().map((prototype) => {
    const original = prototype.post;
    if (Object.getOwnPropertyDescriptor(prototype, 'post')?.writable !== true) return () => undefined;
    const post: Post = function post(this, ...args) {
      if (args[0] === START && this !== own) onStart();
      return Reflect.apply(original, this, args);
    };
    prototype.post = post;
    return () => {
      if (prototype.post === post) prototype.post = original;
    };
  });
  return () => {
    for (const stop of stops) stop();
  };
}

/** `node:inspector/promises` has its own `post`, which calls the one that it found when it was loaded. */
function sessionPrototypes(): { post: Post }[] {
  const { Session } = require('node:inspector') as { Session: { prototype: { post: Post } } };
  const withPromises = require('node:inspector/promises') as { Session: { prototype: { post: Post } } };
  return [Session.prototype, withPromises.Session.prototype];
}
