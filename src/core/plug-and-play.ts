/**
 * Yarn Plug'n'Play installs packages without `node_modules`: a preload, which this API names, finds them. A Worker or child
 * process of the agent that starts without the application's preloads needs that one.
 */
export function plugAndPlayFlags(): string[] {
  if (process.versions['pnp'] === undefined) return [];
  try {
    return ['--require', require.resolve('pnpapi')];
  } catch {
    return [];
  }
}
