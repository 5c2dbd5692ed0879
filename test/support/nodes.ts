/** The Node releases that take the snapshots: this one, and with TEST_NODES=all every supported release. */
import { startComponent } from './components.ts';

const RELEASES = ['node22', 'node24', 'node26'] as const;
export type NodeName = 'this Node' | (typeof RELEASES)[number];

export const NODES: readonly NodeName[] =
  process.env['TEST_NODES'] === 'all' ? ['this Node', ...RELEASES] : ['this Node'];

export const nodeOf = async (name: NodeName): Promise<string> =>
  name === 'this Node' ? process.execPath : (await startComponent(name)).path;
