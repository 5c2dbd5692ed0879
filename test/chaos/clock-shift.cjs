'use strict';
// Preloaded before the agent: shifts the wall clock of this process, as an administrator or a time service would.
const { Date: RealDate } = globalThis;
let shiftMs = 0;
globalThis.Date = class Date extends RealDate {
  constructor(...args) {
    super(...(args.length === 0 ? [RealDate.now() + shiftMs] : args));
  }
  static now() {
    return RealDate.now() + shiftMs;
  }
};
process.on('message', ({ command, ms }) => {
  if (command === 'shift-clock') shiftMs = ms;
});
process.channel?.unref();
