/** Under `--permission` only what was allowed is allowed. A Worker is not told of it: asked on the app thread. */
export function isAllowed(scope: 'worker' | 'inspector' | 'fs.write', reference?: string): boolean {
  const { permission } = process as {
    permission?: { has(scope: string, reference?: string): boolean };
  };
  return permission === undefined || permission.has(scope, reference);
}
