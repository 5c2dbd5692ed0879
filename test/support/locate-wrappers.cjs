'use strict';
// Runs in a process of its own: adds listeners of each kind of fixtures/real/wrappers and prints where they were located.
const { join } = require('node:path');
const [, , fixture, dist] = process.argv;
const { locateListeners } = require(join(dist, 'hooks/inspector/locate-listeners.js'));
const { createClock } = require(join(dist, 'core/clock.js'));
const { add, emitters } = require(fixture);

async function main() {
  const clock = createClock();
  for (const [name, emitter] of Object.entries(emitters)) {
    for (let n = 0; n < 30; n += 1) void add[name]();
    const more = setInterval(() => void add[name](), 50);
    console.log(JSON.stringify({ name, culprit: await locateListeners(emitter, name, clock) }));
    clearInterval(more);
    const left = emitter.listenerCount('newListener');
    if (left > 0) throw new Error(`${left} listeners of the agent are left`);
  }
  process.exit(0);
}
void main();
