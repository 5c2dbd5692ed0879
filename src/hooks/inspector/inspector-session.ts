/** A session with the inspector of this process, which shows the scopes and locations of functions. */
import { Session } from 'node:inspector';
import { runInThisContext } from 'node:vm';

export interface RemoteProperty {
  readonly name: string;
  readonly value?: { readonly value?: unknown; readonly objectId?: string; readonly type?: string };
}
export interface RemoteFunction {
  readonly properties: readonly RemoteProperty[];
  /** `[[FunctionLocation]]`, `[[Scopes]]`, `[[TargetFunction]]`, `[[BoundThis]]`. */
  readonly internal: readonly RemoteProperty[];
}

export interface Script {
  readonly url: string;
  readonly sourceMapUrl: string;
}
interface ParsedScript {
  readonly scriptId: string;
  readonly url: string;
  readonly sourceMapURL?: string;
}

/** Objects pass between JavaScript and the inspector through this global, which exists only during a session. */
const EXCHANGE = Symbol.for('wsguard.inspector');
const EXCHANGE_EXPRESSION = "globalThis[Symbol.for('wsguard.inspector')]";
/** The inspector evaluates in the main context. A test runner can run this file in another one, with another global. */
const globals = runInThisContext('globalThis') as Record<symbol, unknown>;

/** Runs `task` with a session. Everything is synchronous, so no line of the application runs in between. */
export function withInspector<T>(task: (session: InspectorSession) => T): T {
  const session = new Session();
  session.connect();
  try {
    return task(new InspectorSession(session));
  } finally {
    delete globals[EXCHANGE];
    session.disconnect();
  }
}

export class InspectorSession {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  describe(thing: object): RemoteFunction {
    globals[EXCHANGE] = thing;
    const reply = this.#post<{ result: { objectId?: string } }>('Runtime.evaluate', {
      expression: EXCHANGE_EXPRESSION,
      silent: true,
    });
    return this.describeRemote(reply?.result.objectId);
  }

  describeRemote(objectId: string | undefined): RemoteFunction {
    if (objectId === undefined) return { properties: [], internal: [] };
    const reply = this.#post<{ result: RemoteProperty[]; internalProperties?: RemoteProperty[] }>(
      'Runtime.getProperties',
      { objectId, ownProperties: true },
    );
    return { properties: reply?.result ?? [], internal: reply?.internalProperties ?? [] };
  }

  /** The JavaScript object behind an id of the inspector. */
  fetch(objectId: string): unknown {
    delete globals[EXCHANGE];
    this.#post('Runtime.callFunctionOn', {
      objectId,
      functionDeclaration: `function () { ${EXCHANGE_EXPRESSION} = this; }`,
      silent: true,
    });
    return globals[EXCHANGE];
  }

  /** The scripts by their ids. The debugger reports the scripts while it is being enabled, and only then. */
  scripts(): ReadonlyMap<string, Script> {
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

  /** `post` calls its callback before it returns, because the inspected thread is this thread. */
  #post<T>(method: string, params: object): T | null {
    let reply: T | null = null;
    this.#session.post(method, params, (error: Error | null, result: object | undefined) => {
      if (error === null) reply = result as T;
    });
    return reply;
  }
}
