import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { makeEntriesAbsolute, nodeOptionsForAnyFolder } from '../../../src/core/child-preloads.ts';

const ROOT = join(__dirname, '..', '..', '..');
const INDEX = join(ROOT, 'src', 'index.js');
const REGISTER = pathToFileURL(join(ROOT, 'src', 'register.js')).href;

function convert(execArgv: string[], nodeOptions?: string): { execArgv: string[]; nodeOptions?: string } {
  const env = nodeOptions === undefined ? {} : { NODE_OPTIONS: nodeOptions };
  makeEntriesAbsolute(execArgv, env, '/app');
  return { execArgv, ...(env.NODE_OPTIONS === undefined ? {} : { nodeOptions: env.NODE_OPTIONS }) };
}

test.each([
  [
    ['--require', '@wsguard/agent'],
    ['--require', INDEX],
  ],
  [
    ['-r', '@wsguard/agent', '--expose-gc'],
    ['-r', INDEX, '--expose-gc'],
  ],
  [['--require=@wsguard/agent'], [`--require=${INDEX}`]],
  [['--import=@wsguard/agent/register'], [`--import=${REGISTER}`]],
  [
    ['--import', '@wsguard/agent/register'],
    ['--import', REGISTER],
  ],
])('the flags %j name the file', (flags, converted) => {
  expect(convert(flags)).toEqual({ execArgv: converted });
});

test.each([
  ['--require @wsguard/agent', `--require ${INDEX}`],
  [
    '--max-old-space-size=512  -r @wsguard/agent --no-warnings',
    `--max-old-space-size=512  -r ${INDEX} --no-warnings`,
  ],
  ['--require="@wsguard/agent"', `--require=${INDEX}`],
  [
    '--require dotenv/config --import @wsguard/agent/register',
    `--require dotenv/config --import ${REGISTER}`,
  ],
])('NODE_OPTIONS %j too', (text, converted) => {
  expect(convert([], text)).toEqual({ execArgv: [], nodeOptions: converted });
});

test.each([
  ['--require', 'dotenv/config'],
  ['--require', '@wsguard/agent-extras'],
  ['--require', '/opt/@wsguard/agent'],
  ['--require', './missing'],
  ['--require'],
  ['--title', '@wsguard/agent'],
  ['--eval', '@wsguard/agent'],
])('%j %j stays as it is', (...flags) => {
  const text = flags.join(' ');
  expect(convert([...flags], text)).toEqual({ execArgv: flags, nodeOptions: text });
});

test('the environment of a process without NODE_OPTIONS is not changed', () => {
  const env = Object.freeze({});
  expect(() => makeEntriesAbsolute(['--require', '@wsguard/agent'], env, '/app')).not.toThrow();
});

test('the line that loads the agent in any folder has an absolute path', () => {
  expect(nodeOptionsForAnyFolder()).toBe(`--require ${INDEX}`);
});
