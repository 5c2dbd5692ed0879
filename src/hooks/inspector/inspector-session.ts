import { Session } from 'node:inspector';

export interface RemoteProperty {
  readonly name: string;
  readonly value?: { readonly value?: unknown; readonly objectId?: string; readonly type?: string };
}
export interface RemoteFunction {
  readonly own: readonly RemoteProperty[];
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

const SHELF = Symbol.for('wsguard.shelf');
const scope = globalThis as unknown as Record<symbol, unknown>;

/** What this process' own inspector tells of its functions. All within one job: no line of the application runs. */
export class Inspection {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  describe(thing: object): RemoteFunction {
    scope[SHELF] = thing;
    const expression = "globalThis[Symbol.for('wsguard.shelf')]";
    const found = this.#ask<{ result: { objectId?: string } }>('Runtime.evaluate', {
      expression,
      silent: true,
    });
    return this.describeRemote(found?.result.objectId);
  }

  describeRemote(objectId: string | undefined): RemoteFunction {
    if (objectId === undefined) return { own: [], internal: [] };
    const params = { objectId, ownProperties: true };
    const found = this.#ask<{ result: RemoteProperty[]; internalProperties?: RemoteProperty[] }>(
      'Runtime.getProperties',
      params,
    );
    return { own: found?.result ?? [], internal: found?.internalProperties ?? [] };
  }

  /** The object itself, out of the inspector's hands. */
  fetch(objectId: string): unknown {
    const functionDeclaration = "function () { globalThis[Symbol.for('wsguard.shelf')] = this; }";
    delete scope[SHELF];
    this.#ask('Runtime.callFunctionOn', { objectId, functionDeclaration, silent: true });
    return scope[SHELF];
  }

  /** The debugger tells of the scripts as it is enabled, and only then. */
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

  /** `post` answers before it returns, since the inspected thread is this one. */
  #ask<T>(method: string, params: object): T | null {
    let answer: T | null = null;
    this.#session.post(method, params, (error: Error | null, result: object | undefined) => {
      if (error === null) answer = result as T;
    });
    return answer;
  }
}

export function inspect<T>(task: (inspection: Inspection) => T): T {
  const session = new Session();
  session.connect();
  try {
    return task(new Inspection(session));
  } finally {
    delete scope[SHELF];
    session.disconnect();
  }
}
