import { MessageChannel } from 'node:worker_threads';

/**
 * Somebody awaits it: the process stays for the answer, which has a deadline of its own. Nothing else of ours keeps
 * a process alive.
 */
export function hold<T>(answer: Promise<T>): Promise<T> {
  const { port1 } = new MessageChannel();
  port1.on('message', () => undefined);
  return answer.finally(() => port1.close());
}
