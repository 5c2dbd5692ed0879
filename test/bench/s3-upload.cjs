// The process of `npm run bench -- s3` that uploads a file with the code of the agent. It prints its memory before the upload,
// and the outcome with the peak.
'use strict';
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const [dir, endpoint, file, key] = process.argv.slice(2);
const load = (name) => require(path.join(__dirname, '..', '..', 'dist', name));
const identity = {
  service: 'bench',
  serviceVersion: '1.0.0',
  instance: `upload-${process.pid}`,
  host: os.hostname(),
  pid: process.pid,
  worker: null,
  agentVersion: '0.0.0',
  nodeVersion: process.version,
};
const clock = load('core/clock.js').createClock();
load('deliver/black-box.js').openBlackBox(dir, identity, Date.now());
const credentials = load('deliver/s3/credentials.js').createCredentialSource(process.env, 'us-east-1');
const target = { bucket: 'snapshots', region: 'us-east-1', endpoint, pathStyle: 'auto', credentials, clock };
const outbox = { dir, identity, onUnwritable: (reason) => console.error(reason) };
const options = {
  clock,
  target,
  prefix: 'bench',
  redact: 'on',
  outbox,
  onRetry: (retry) => console.error(retry),
};
const upload = load('deliver/s3/s3-upload.js').createS3Upload(options);

/** `VmRSS` is the memory now, `VmHWM` the peak. */
const statusBytes = (name) =>
  Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(fs.readFileSync('/proc/self/status', 'utf8'))[1]) * 1024;
const writeLine = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

async function main() {
  // The first upload loads the client.
  const small = path.join(dir, 'small.heapsnapshot.gz');
  fs.writeFileSync(small, 'small');
  await upload.send({ alertId: key, file: small, redacted: true });
  // Sets the peak to the memory of now.
  fs.writeFileSync('/proc/self/clear_refs', '5');
  const beforeBytes = statusBytes('VmRSS');
  writeLine({ beforeBytes });
  const startedMs = performance.now();
  const cpuBefore = process.cpuUsage();
  const delivery = await upload.send({ alertId: key, file, redacted: true });
  const { user, system } = process.cpuUsage(cpuBefore);
  const seconds = (performance.now() - startedMs) / 1000;
  writeLine({ delivery, seconds, cpuSeconds: (user + system) / 1e6, peakBytes: statusBytes('VmHWM') });
}
// The agent's timers and sockets do not keep a process alive.
setInterval(() => undefined, 1_000);
void main().then(() => process.exit());
