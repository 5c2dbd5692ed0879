// `npm run docs:picture`: docs/report.png, the report page of a real leak. Starts a leaky server from fixtures/apps
// under the agent with its load, waits for the root cause, and takes a screenshot of the report with Chromium.
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import cases from '../../fixtures/apps/cases.js';
import components from '../../fixtures/components/start.js';
import lab from '../../fixtures/lab.js';
import { build } from '../../fixtures/prepare.mjs';

const APP = 'registry';
const DEADLINE_MS = 240_000;
/** GitHub shows a README about this wide. */
const WIDTH = 1000;
const HEIGHT = 1010;
const MAX_BYTES = 200_000;

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const picture = join(root, 'docs', 'report.png');

/** The report folder of the alert, once the alert names its root cause from two snapshots. */
async function runUntilReport(folder) {
  const file = join(folder, 'server.js');
  cpSync(join(root, 'fixtures', 'apps', APP, 'leaky.js'), file);
  const dir = join(folder, '.wsguard');
  const app = await lab.startApp(file, {
    dir,
    cwd: folder,
    service: 'notifications',
    nodeArgs: ['--max-old-space-size=64'],
    env: { WSGUARD_PAUSE_BUDGET_MS: '20000', NODE_PATH: join(root, 'node_modules') },
  });
  const clients = cases.LEAKS[APP].clients.map((load) => lab.startClients(app.port, load));
  try {
    const { id } = await app.waitForTransition(
      ({ culprit, snapshots }) =>
        culprit?.line && snapshots.filter(({ outcome }) => outcome === 'written').length > 1,
      { deadlineMs: DEADLINE_MS, what: 'the root cause' },
    );
    return join(dir, id, 'report.html');
  } finally {
    await Promise.all([...clients.map((each) => each.stop()), app.stop({ keep: true })]);
  }
}

async function takePicture(report, folder) {
  const { browser, stop } = await components.startComponent('chromium');
  try {
    const page = await browser.newPage({ viewport: { width: WIDTH, height: HEIGHT }, colorScheme: 'light' });
    page.setDefaultTimeout(DEADLINE_MS);
    // The temporary folder of this run tells a reader nothing.
    const html = readFileSync(report, 'utf8').replaceAll(folder, '/srv/notifications');
    writeFileSync(report, html);
    await page.goto(pathToFileURL(report).href);
    await page.screenshot({ path: picture });
  } finally {
    await stop();
  }
}

const built = await build();
if (built.code !== 0) throw new Error(built.output);
const folder = mkdtempSync(join(tmpdir(), 'notifications-'));
try {
  await takePicture(await runUntilReport(folder), folder);
} finally {
  if (!process.argv.includes('--keep')) rmSync(folder, { recursive: true, force: true });
  else console.log(folder);
}
const { size } = statSync(picture);
console.log(`docs/report.png: ${Math.round(size / 1000)} kB`);
if (size > MAX_BYTES) {
  console.error(`more than ${MAX_BYTES / 1000} kB`);
  process.exitCode = 1;
}
