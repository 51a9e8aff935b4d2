// The certificate of a server on loopback, and that of its authority, made by openssl.
import fs from 'node:fs';
import path from 'node:path';
import { output } from '../deploy/load/service.mjs';

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

// Writes both to a folder, and returns the files: the authority's certificate, the server's, and the server's key.
export async function makeCertificates(folder) {
  const file = (name) => path.join(folder, name);
  const [authority, authorityKey, request, names] = ['ca.pem', 'ca.key', 'server.csr', 'names'].map(file);
  const [certificate, key] = ['server.pem', 'server.key'].map(file);
  const openssl = (...args) => output('openssl', args);
  await openssl('req', '-x509', ...NEW_KEY, '-days', '2', '-subj', '/CN=authority', '-keyout', authorityKey, '-out', authority);
  await openssl('req', ...NEW_KEY, '-subj', '/CN=server', '-keyout', key, '-out', request);
  fs.writeFileSync(names, 'subjectAltName = IP:127.0.0.1\n');
  await openssl('x509', '-req', '-in', request, '-CA', authority, '-CAkey', authorityKey, '-CAcreateserial', '-days', '2',
    '-extfile', names, '-out', certificate);
  return { authority, certificate, key };
}
