/**
 * The loader docblock and `module.exports` are the one shape that works on Node 20, 22, 24 and 26.
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
  // Met only by what fails, on a slow and busy machine too; a wait inside a test ends sooner and says more.
  testTimeout: 400_000,
} satisfies Config;
