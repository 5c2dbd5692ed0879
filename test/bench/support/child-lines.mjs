// Reads the JSON lines that a child process prints. `next` resolves with the next one, or with null after the deadline and when
// the child has ended.
const POLL_MS = 5;

export function readLines(child) {
  const lines = [];
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop();
    lines.push(...parts.filter(Boolean));
  });
  return async function next(deadlineMs = Infinity) {
    const untilMs = performance.now() + deadlineMs;
    while (lines.length === 0 && performance.now() < untilMs && child.exitCode === null)
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    return lines.length === 0 ? null : JSON.parse(lines.shift());
  };
}
