/** The configuration of docs/deployment.md is loaded by nginx. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCertificate } from '../support/certificate.ts';
import { describeWith, locateComponent } from '../support/components.ts';

const page = readFileSync(join(__dirname, '..', '..', 'docs', 'deployment.md'), 'utf8');

describeWith(['nginx'], 'docs/deployment.md', () => {
  test('nginx accepts the configuration', () => {
    const folder = mkdtempSync(join(tmpdir(), 'wsguard-nginx-'));
    try {
      const { cert, key } = makeCertificate();
      const [, block = ''] = /```nginx\n([^]*?)```/.exec(page) ?? [];
      expect(block).toContain('proxy_read_timeout 90s;');
      const servers = block
        .replace('/etc/ssl/certs/realtime.pem', cert)
        .replace('/etc/ssl/private/realtime.key', key);
      const file = join(folder, 'nginx.conf');
      writeFileSync(file, `pid ${folder}/nginx.pid; events {} http { access_log off; ${servers} }`);
      const { status, stderr } = spawnSync(
        locateComponent('nginx')!,
        ['-t', '-e', join(folder, 'error.log'), '-c', file],
        {
          encoding: 'utf8',
        },
      );
      expect(stderr).toContain('syntax is ok');
      expect(status).toBe(0);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
