/** Polls `probe` until it returns a value. `what` names the awaited condition in the error at the deadline. */
export async function eventually<T>(
  probe: () => T | undefined | null | false | Promise<T | undefined | null | false>,
  what: string,
  deadlineMs = 120_000,
): Promise<T> {
  const until = Date.now() + deadlineMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== null && value !== false) return value;
    if (Date.now() > until) throw new Error(`waited ${deadlineMs} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Repeats `assertion` until it passes. At the deadline its last error is thrown: only a test that fails waits so long. */
export async function eventuallyPasses(
  assertion: () => void | Promise<void>,
  deadlineMs = 120_000,
): Promise<void> {
  const until = Date.now() + deadlineMs;
  for (;;) {
    try {
      return await assertion();
    } catch (error) {
      if (Date.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
