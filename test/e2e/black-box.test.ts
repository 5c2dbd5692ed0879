import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findProcessDeath } from '../../src/detect/process-died.ts';
import { claimCrashRecords } from '../../src/deliver/black-box-recovery.ts';
import { eventually } from '../support/eventually.ts';
import { IDENTITY } from '../support/run.ts';
import { sampleOf } from '../support/samples.ts';

const BOX = join(__dirname, '..', '..', 'dist', 'deliver', 'black-box.js');

const children: ChildProcess[] = [];
afterEach(() => children.forEach((child) => child.kill('SIGKILL')));

test('samples written before a SIGKILL can be claimed after it, not earlier', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'wsguard-kill-'));
  const script = `
    const { openBlackBox } = require(${JSON.stringify(BOX)});
    const identity = { ...${JSON.stringify(IDENTITY)}, instance: 'killed', pid: process.pid };
    const box = openBlackBox(${JSON.stringify(dir)}, identity, Date.now());
    let seq = 0;
    setInterval(() => box.writeSample({ ...${JSON.stringify(sampleOf())}, seq: seq++, wallMs: Date.now() }), 5);`;
  const child = spawn(process.execPath, ['-e', script], { stdio: 'ignore' });
  children.push(child);
  const exited = new Promise((resolve) => child.on('exit', (_, signal) => resolve(signal)));
  const file = join(dir, 'killed', 'box-0.ndjson');
  const lines = () => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').length : 0);
  await eventually(() => lines() > 20, 'samples in the box');
  const self = { ...IDENTITY, instance: 'next', pid: process.pid };
  expect(claimCrashRecords(dir, self, Date.now())).toEqual([]);

  child.kill('SIGKILL');
  expect(await exited).toBe('SIGKILL');
  const [box] = claimCrashRecords(dir, self, Date.now());
  expect(box?.samples.length).toBeGreaterThanOrEqual(20);
  if (box === undefined) return;
  const death = findProcessDeath(box, { wallMs: Date.now(), oomKills: null });
  expect(death?.finding.title).toContain(`pid ${child.pid}`);
  rmSync(dir, { recursive: true, force: true });
});
