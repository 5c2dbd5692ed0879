import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Makes a self-signed certificate for 127.0.0.1, so that the repository needs no private key. */
export function makeCertificate(): { cert: string; key: string; pem: { cert: string; key: string } } {
  const dir = mkdtempSync(join(tmpdir(), 'wsguard-cert-'));
  const [cert, key] = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
  execFileSync(
    'openssl',
    `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1
     -addext subjectAltName=IP:127.0.0.1 -keyout ${key} -out ${cert}`.split(/\s+/),
    { stdio: 'pipe' },
  );
  return { cert, key, pem: { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') } };
}
