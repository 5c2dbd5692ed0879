'use strict';
// Preloaded before the agent: shifts the wall clock of all threads of this process, as an administrator or a time service
// would.
const threads = require('node:worker_threads');

const { Date: RealDate } = globalThis;
const { Worker, isMainThread, workerData } = threads;
const shared = isMainThread ? new SharedArrayBuffer(8) : workerData.clockShift;
const shiftMs = new Float64Array(shared);

globalThis.Date = class Date extends RealDate {
  constructor(...args) {
    super(...(args.length === 0 ? [RealDate.now() + shiftMs[0]] : args));
  }
  static now() {
    return RealDate.now() + shiftMs[0];
  }
};

if (isMainThread) {
  threads.Worker = class extends Worker {
    constructor(file, options) {
      const execArgv = [...options.execArgv, '--require', __filename];
      super(file, { ...options, execArgv, workerData: { ...options.workerData, clockShift: shared } });
    }
  };
  process.on('message', ({ command, ms }) => {
    if (command === 'shift-clock') shiftMs[0] = ms;
  });
  process.channel?.unref();
}
