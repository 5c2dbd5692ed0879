/** Tests that only some machines can run. Elsewhere they are skipped. */
export const onLinux = process.platform === 'linux' ? test : test.skip;
export const asRoot = process.getuid?.() === 0 ? test : test.skip;
