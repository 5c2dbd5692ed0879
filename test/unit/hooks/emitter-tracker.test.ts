import EventEmitter from 'node:events';
import { PassThrough } from 'node:stream';
import { createGuard } from '../../../src/core/guard.ts';
import { EmitterTracker } from '../../../src/hooks/emitters/emitter-tracker.ts';
import { useClearableWeakRefs } from '../../support/clearable-weak-refs.ts';

const { clearAll } = useClearableWeakRefs();
const faults: string[] = [];
const guard = createGuard(({ part }) => faults.push(part));
const internals = EventEmitter as unknown as { init: (this: object, options?: unknown) => void };
const originalInit = internals.init;
const prototype = EventEmitter.prototype as { setMaxListeners: unknown };
const originalSetMaxListeners = prototype.setMaxListeners;
let tracker: EmitterTracker;
beforeEach(() => {
  tracker = new EmitterTracker(guard);
});
afterEach(() => {
  tracker.stop();
  expect(internals.init).toBe(originalInit);
  expect(prototype.setMaxListeners).toBe(originalSetMaxListeners);
  expect(faults.splice(0)).toEqual([]);
});

const warn = (fields: object, name = 'MaxListenersExceededWarning'): boolean =>
  process.emit('warning', Object.assign(new Error('leak'), { name }, fields));

test('each WebSocket of ws is reported when it is created, and no other emitter', () => {
  class WebSocket extends EventEmitter {
    ping(): void {}
    terminate(): void {}
  }
  const created: object[] = [];
  tracker.onWebSocket = (ws) => created.push(ws);
  const sockets = [new WebSocket(), new WebSocket()];
  expect(new EventEmitter()).toBeDefined();
  expect(new PassThrough()).toBeDefined();
  expect(created).toEqual(sockets);
});

describe('buses', () => {
  test('an emitter is tracked from its construction on', () => {
    class Bus extends EventEmitter {}
    const buses = [new Bus(), new EventEmitter()];
    expect(tracker.buses()).toEqual(expect.arrayContaining(buses));
    expect(tracker.servers()).toEqual([]);
  });

  test('the first 50 of a class are tracked', () => {
    class PerConnection extends EventEmitter {}
    const emitters = Array.from({ length: 60 }, () => new PerConnection());
    const tracked = tracker.buses().filter((bus) => bus instanceof PerConnection);
    expect(tracked).toEqual(emitters.slice(0, 50));
  });

  test('no more than 1,000 are tracked', () => {
    const emitters = Array.from({ length: 1_100 }, () => {
      const Bus = class extends EventEmitter {};
      return new Bus();
    });
    expect(emitters).toHaveLength(1_100);
    expect(tracker.buses()).toHaveLength(1_000);
  });

  test('streams are not tracked', () => {
    const stream = new PassThrough();
    expect(tracker.buses()).not.toContain(stream);
  });

  test('an emitter whose prototype cannot be read is constructed all the same', () => {
    const emitter = new Proxy(
      {},
      {
        getPrototypeOf() {
          throw new Error('code of the application');
        },
      },
    );
    expect(() => internals.init.call(emitter)).not.toThrow();
  });
});

test('WebSocket servers and adapters of Socket.IO are servers', () => {
  class WebSocketServer extends EventEmitter {
    handleUpgrade(): void {}
  }
  class Adapter extends EventEmitter {
    addAll(): void {}
    delAll(): void {}
  }
  class HalfAnAdapter extends EventEmitter {
    addAll(): void {}
  }
  const [server, adapter, other] = [new WebSocketServer(), new Adapter(), new HalfAnAdapter()];
  expect(tracker.servers()).toEqual([server, adapter]);
  expect(tracker.buses()).toContain(other);
});

describe('wraps', () => {
  test('EventEmitter.init gets the same this and options', () => {
    const emitter = new EventEmitter({ captureRejections: true });
    const kCapture = Object.getOwnPropertySymbols(emitter).find((symbol) =>
      String(symbol).includes('kCapture'),
    );
    expect((emitter as unknown as Record<symbol, unknown>)[kCapture as symbol]).toBe(true);
  });

  test('setMaxListeners returns the emitter and throws for a wrong limit', () => {
    const emitter = new EventEmitter();
    expect(emitter.setMaxListeners(20)).toBe(emitter);
    expect(emitter.getMaxListeners()).toBe(20);
    expect(() => emitter.setMaxListeners(-1)).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }));
  });

  test('stop keeps a wrapper that other code installed later, and tracks nothing more', () => {
    const ours = internals.init;
    let calls = 0;
    const theirs = function init(this: object, options?: unknown): void {
      calls += 1;
      ours.call(this, options);
    };
    internals.init = theirs;
    tracker.stop();
    expect(internals.init).toBe(theirs);
    const emitter = new EventEmitter();
    emitter.on('x', () => undefined);
    internals.init = originalInit;
    expect(calls).toBe(1);
    expect(tracker.buses()).toEqual([]);
  });
});

describe('flagged', () => {
  test.each([
    ['removed', 0, true],
    ['removed by Infinity', Infinity, true],
    ['raised', 11, true],
    ['set to the default', 10, false],
    ['lowered', 5, false],
  ])('an emitter whose limit is %s', (_case, limit, isFlagged) => {
    const emitter = new EventEmitter().setMaxListeners(limit);
    expect(tracker.flagged()).toEqual(isFlagged ? [{ target: emitter, event: null }] : []);
  });

  test('a stream whose limit is raised is not', () => {
    const stream = new PassThrough().setMaxListeners(0);
    expect(tracker.flagged()).toEqual([]);
    expect(stream.getMaxListeners()).toBe(0);
  });

  test('emitters and EventTargets that Node warned about, once per event', () => {
    const [emitter, target] = [new EventEmitter(), new EventTarget()];
    warn({ emitter, type: 'data' });
    warn({ emitter, type: 'data' });
    warn({ emitter, type: 'end' });
    warn({ target, type: 'abort' });
    expect(tracker.flagged()).toEqual([
      { target: emitter, event: 'data' },
      { target: emitter, event: 'end' },
      { target, event: 'abort' },
    ]);
  });

  test('other warnings are ignored', () => {
    warn({ emitter: new EventEmitter(), type: 'x' }, 'DeprecationWarning');
    warn({ type: 'x' });
    expect(tracker.flagged()).toEqual([]);
  });

  test('no more than 300, and the refused ones are counted', () => {
    const emitters = Array.from({ length: 310 }, () => new EventEmitter().setMaxListeners(0));
    expect(emitters).toHaveLength(310);
    expect(tracker.flagged()).toHaveLength(300);
    expect(tracker.blind()).toEqual([
      {
        what: '10 emitters with a raised listener limit or a warning',
        why: 'the agent tracks 300 at a time',
      },
    ]);
  });

  test('there is no listener for warnings, and after stop no warning is noted', () => {
    const bus = new EventEmitter();
    const listeners = process.listenerCount('warning');
    expect(new EmitterTracker(guard).stop()).toBeUndefined();
    expect(process.listenerCount('warning')).toBe(listeners);
    tracker.stop();
    warn({ emitter: bus, type: 'x' });
    expect(tracker.flagged()).toEqual([]);
  });

  test('a bus that is made when dead emitters fill the lists is tracked, without a reading before it', () => {
    for (let classes = 0; classes < 25; classes += 1) {
      class Peer extends EventEmitter {}
      for (let n = 0; n < 50; n += 1) new Peer().setMaxListeners(50);
    }
    expect(tracker.blind()).not.toEqual([]);
    clearAll();
    class Late extends EventEmitter {}
    const late = new Late();
    late.setMaxListeners(0);
    expect(tracker.buses()).toEqual([late]);
    expect(tracker.flagged()).toEqual([{ target: late, event: null }]);
  });
});
