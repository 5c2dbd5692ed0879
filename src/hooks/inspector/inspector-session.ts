/** Reads the scopes and locations of functions through the inspector of this process. */
import type { Session } from 'node:inspector';
import { runInThisContext } from 'node:vm';
import { inspectorConnection, postNow } from '../../core/inspector-connection.ts';
import { isDescribable, OpaqueFunctions } from './described-text.ts';

export interface RemoteProperty {
  readonly name: string;
  readonly value?: { readonly value?: unknown; readonly objectId?: string; readonly description?: string };
}
export interface RemoteFunction {
  readonly properties: readonly RemoteProperty[];
  /** `[[FunctionLocation]]`, `[[Scopes]]`, `[[TargetFunction]]`, `[[BoundThis]]`. */
  readonly internal: readonly RemoteProperty[];
}

export interface Script {
  readonly url: string;
  /** Empty without a source map. */
  readonly sourceMapUrl: string;
}
export interface CoveredScript {
  readonly url: string;
  /** Characters of its source text. */
  readonly length: number;
}
interface ScriptCoverage {
  readonly scriptId: string;
  readonly url: string;
  readonly functions: readonly { readonly ranges: readonly { readonly endOffset: number }[] }[];
}
interface ParsedScript {
  readonly scriptId: string;
  readonly url: string;
  readonly sourceMapURL?: string;
}

/**
 * Objects pass between JavaScript and the inspector through this global, which exists only during a session. The expressions
 * use no name of the application's: it can replace `Symbol` and `globalThis`.
 */
const EXCHANGE = 'wsguard.inspector';
const READ_EXCHANGE = `this['${EXCHANGE}']`;
const exchangeField = (name: string): string => `void (${READ_EXCHANGE} = ${READ_EXCHANGE}.${name})`;
const WRITE_EXCHANGE = `((global) => function () { global['${EXCHANGE}'] = this; })(this)`;
/** The inspector evaluates in the main context. A test runner can run this file in another one, with another global. */
const globals = runInThisContext('this') as Record<string, unknown>;
/** The session may stay connected, so the objects that it refers to are released by this name. */
const OBJECT_GROUP = 'wsguard';

/**
 * Runs `task` with a session. Everything is synchronous, so nothing of the application runs in between, apart from its hooks of
 * `async_hooks`.
 */
export function withInspector<T>(task: (session: InspectorSession) => T): T {
  const session = inspectorConnection.acquire();
  try {
    return task(new InspectorSession(session));
  } finally {
    Reflect.deleteProperty(globals, EXCHANGE);
    session.post('Runtime.releaseObjectGroup', { objectGroup: OBJECT_GROUP });
    inspectorConnection.release();
  }
}

const NOTHING: RemoteFunction = { properties: [], internal: [] };
const opaqueFunctions = new OpaqueFunctions();

export class InspectorSession {
  readonly #session: Session;
  #parsedScripts: ReadonlyMap<string, Script> | null = null;

  constructor(session: Session) {
    this.#session = session;
  }

  /** Empty for a function with so much text that sending it would block the thread. */
  describe(thing: object): RemoteFunction {
    // The application can have closed its global object to new properties.
    if (
      !isDescribable(thing) ||
      !opaqueFunctions.mayDescribe(thing) ||
      !Reflect.set(globals, EXCHANGE, thing)
    )
      return NOTHING;
    const reply = this.#post<{ result: { objectId?: string } }>('Runtime.evaluate', {
      expression: READ_EXCHANGE,
      objectGroup: OBJECT_GROUP,
      silent: true,
    });
    return this.#propertiesOf(reply?.result.objectId);
  }

  /** Describes the function behind an id of the inspector. */
  describeRemote(objectId: string): RemoteFunction {
    const value = this.fetch(objectId);
    return typeof value === 'function' ? this.describe(value) : NOTHING;
  }

  #propertiesOf(objectId: string | undefined): RemoteFunction {
    if (objectId === undefined) return NOTHING;
    const reply = this.#post<{ result: RemoteProperty[]; internalProperties?: RemoteProperty[] }>(
      'Runtime.getProperties',
      { objectId, ownProperties: true },
    );
    const { result: properties = [], internalProperties: internal = [] } = reply ?? {};
    opaqueFunctions.note([...properties, ...internal].map(({ value }) => value));
    return { properties, internal };
  }

  /** The JavaScript object behind an id of the inspector. */
  fetch(objectId: string): unknown {
    Reflect.deleteProperty(globals, EXCHANGE);
    this.#post('Runtime.callFunctionOn', { objectId, functionDeclaration: WRITE_EXCHANGE, silent: true });
    return globals[EXCHANGE];
  }

  /**
   * The value of a private field (`#clients`) of an object; null when it has none, or two of the name. Only the mode for consoles
   * allows such an expression. The reply of that mode comes later, and is not needed.
   */
  privateField(thing: object, name: string): { readonly value: unknown } | null {
    if (!Reflect.set(globals, EXCHANGE, thing)) return null;
    const expression = exchangeField(name);
    this.#post('Runtime.evaluate', { expression, objectGroup: OBJECT_GROUP, silent: true, replMode: true });
    const value = globals[EXCHANGE];
    return value === thing ? null : { value };
  }

  /**
   * The scripts with a function that has run, by script id. The coverage that V8 counts anyway lists them in
   * 20 ms for 2,000 scripts and 0.4 ms for each MB of heap. `Debugger.enable` hashes every source and sends every inline
   * source map: 3 s and 250 MB for the same scripts (measured).
   */
  coveredScripts(): Map<string, CoveredScript> {
    const reply = this.#post<{ result: ScriptCoverage[] }>('Profiler.getBestEffortCoverage', {});
    return new Map(
      reply?.result.map(({ scriptId, url, functions }) => {
        // The range of a script's outermost function is the whole script, with the comment that has its source map.
        const ends = functions.map(({ ranges }) => ranges[0]?.endOffset ?? 0);
        return [scriptId, { url, length: ends.reduce((longest, end) => Math.max(longest, end), 0) }];
      }),
    );
  }

  /** All scripts, also those without a function that has run, with their source maps. See `coveredScripts` for the cost. */
  parsedScripts(): ReadonlyMap<string, Script> {
    return (this.#parsedScripts ??= this.#parseScripts());
  }

  /** The debugger reports the scripts while it is being enabled, and only then. */
  #parseScripts(): ReadonlyMap<string, Script> {
    const scripts = new Map<string, Script>();
    const onParsed = ({ params }: { params: ParsedScript }): void => {
      scripts.set(params.scriptId, { url: params.url, sourceMapUrl: params.sourceMapURL ?? '' });
    };
    this.#session.on('Debugger.scriptParsed', onParsed);
    this.#session.post('Debugger.enable');
    this.#session.post('Debugger.disable');
    this.#session.removeListener('Debugger.scriptParsed', onParsed);
    return scripts;
  }

  #post<T>(method: string, params: object): T | null {
    try {
      return postNow<T>(this.#session, method, params);
    } catch {
      // The inspector refuses a request about an object that is gone. Then there is nothing to read.
      return null;
    }
  }
}
