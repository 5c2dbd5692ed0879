/**
 * The loader docblock and `module.exports` work on Node 20, 22, 24 and 26. Other forms fail on one of them.
 * @jest-config-loader esbuild-register
 */
import type { Config } from 'jest';

const transform = {
  '\\.ts$': ['@swc/jest', { jsc: { target: 'es2022', parser: { syntax: 'typescript' } } }],
} satisfies Config['transform'];

const project = (name: string) => ({
  displayName: name,
  testEnvironment: 'node',
  testMatch: [`<rootDir>/test/${name}/**/*.test.ts`],
  transform,
});

module.exports = {
  projects: [project('unit'), project('integration'), project('e2e')],
  // Only a test that hangs reaches this. Waits inside tests have shorter limits and better messages.
  testTimeout: 400_000,
} satisfies Config;
