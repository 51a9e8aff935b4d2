// Certificates for a service and a client, by one authority.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

export class Certificates {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cloakroom-tls-'));

  constructor() {
    this.#openssl('req', '-x509', '-subj', '/CN=ca', ...KEY, ...AUTHORITY, '-keyout', 'ca.key', '-out', 'ca.crt');
    fs.writeFileSync(this.file('ext'), 'subjectAltName=DNS:localhost,IP:127.0.0.2,DNS:client.example\nbasicConstraints=CA:FALSE\n');
    for (const name of ['server', 'client']) {
      this.#openssl('req', '-subj', `/CN=${name}`, ...KEY, '-keyout', `${name}.key`, '-out', `${name}.csr`);
      this.#openssl('x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial',
        '-out', `${name}.crt`, '-extfile', 'ext');
    }
  }

  file(name) {
    return path.join(this.folder, name);
  }

  // The tables of a service that only takes clients with a certificate.
  get settings() {
    return `[server.tls]
certificate_file = "${this.file('server.crt')}"
key_file = "${this.file('server.key')}"
client_ca_file = "${this.file('ca.crt')}"
[callers.node]
roles = ["frontend"]
apps = ["*"]
certificate_names = ["client.example"]
`;
  }

  // The credentials of a client that such a service takes.
  get mutual() {
    return { caFile: this.file('ca.crt'), certificateFile: this.file('client.crt'), keyFile: this.file('client.key') };
  }

  remove() {
    fs.rmSync(this.folder, { recursive: true });
  }

  #openssl(...args) {
    execFileSync('openssl', args, { stdio: 'pipe', cwd: this.folder });
  }
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
const AUTHORITY = ['-addext', 'basicConstraints=critical,CA:TRUE'];
