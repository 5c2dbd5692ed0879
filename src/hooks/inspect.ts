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

  /** The debugger tells the scripts' names as it is enabled, and only then. */
  scriptUrls(): ReadonlyMap<string, string> {
    const urls = new Map<string, string>();
    const onParsed = ({ params }: { params: { scriptId: string; url: string } }): void => {
      urls.set(params.scriptId, params.url);
    };
    this.#session.on('Debugger.scriptParsed', onParsed);
    this.#session.post('Debugger.enable');
    this.#session.post('Debugger.disable');
    this.#session.removeListener('Debugger.scriptParsed', onParsed);
    return urls;
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
