/** `LeakEvidence`: what the agent of this process knows about a leak, for `memoryGuard`. */
import type { WatchingAgent } from '../core/remedy-list.ts';
import type { Alert, Dispose } from '../types/index.ts';
import { registerWithAgent } from './agent-registration.ts';

export interface ProvenLeak {
  /** The open alert of the leak. */
  readonly alert: Alert;
  /** Milliseconds to the limit at the present growth. */
  readonly timeToLimitMs: number;
}

/**
 * A leak counts only while its alert is open and memory grows towards a limit. The time of the alert itself would be out of
 * date: an alert is written rarely, and the growth may have ended since.
 */
export class LeakEvidence {
  readonly #openLeaks = new Map<string, Alert>();
  readonly #unregister: Dispose;
  #agent: WatchingAgent | null = null;
  #isAsking = false;
  #latest: ProvenLeak | null = null;

  constructor() {
    this.#unregister = registerWithAgent((agent) => this.#attach(agent));
  }

  /** The answer of the last `refresh`. */
  get latest(): ProvenLeak | null {
    return this.#latest;
  }

  stop(): void {
    this.#unregister();
    this.#forget();
  }

  /** Asks the agent while an alert is open. Resolves within 2 s, the deadline of `agent.status()`. */
  async refresh(): Promise<ProvenLeak | null> {
    if (this.#isAsking) return this.#latest;
    const agent = this.#agent;
    if (agent === null || this.#openLeaks.size === 0) return (this.#latest = null);
    this.#isAsking = true;
    const status = await agent.status().catch(() => null);
    this.#isAsking = false;
    // The oldest open alert: the later ones may be its effects.
    const [alert] = this.#openLeaks.values();
    const timeToLimit = status?.timeToLimit ?? null;
    this.#latest =
      alert === undefined || timeToLimit === null ? null : { alert, timeToLimitMs: timeToLimit.ms };
    return this.#latest;
  }

  #attach(agent: WatchingAgent): Dispose {
    this.#agent = agent;
    const stopListening = agent.on('alert', (alert) => {
      if (alert.family !== 'leak') return;
      if (alert.event === 'closed') this.#openLeaks.delete(alert.id);
      else this.#openLeaks.set(alert.id, alert);
    });
    return () => {
      stopListening();
      this.#forget();
    };
  }

  #forget(): void {
    this.#agent = null;
    this.#openLeaks.clear();
    this.#latest = null;
  }
}
