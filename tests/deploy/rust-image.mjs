// Builds a local replacement for the public Rust image, for machines without access to an image registry.
import fs from 'node:fs';
import path from 'node:path';
import { ROOT, run } from './engine.mjs';

const RUST = '/usr/local/rust';
const REGISTRY = '/usr/local/cargo/registry';
const CERTIFICATES = '/etc/ssl/certs';
// On a busy machine.
const DEBOOTSTRAP_TIMEOUT_MS = 20 * 60_000;

// Builds the image under the name in the Dockerfile's first FROM line. Returns the options to build on it: they mount this
// machine's Rust, its downloaded crates and its CA certificates.
export async function buildRust(engine) {
  const [, name] = fs.readFileSync(path.join(ROOT, 'Dockerfile'), 'utf8').match(/^FROM (rust:\S+) AS build$/m);
  const context = path.join(engine.folder, 'rust');
  fs.mkdirSync(context);
  const root = path.join(context, 'root');
  const args = ['--variant=minbase', '--include=gcc,libc6-dev', name.match(/[a-z]+$/)[0], root];
  await run('debootstrap', args, { timeout: DEBOOTSTRAP_TIMEOUT_MS });
  const dockerfile = ['FROM scratch', 'COPY root /', `ENV PATH=${RUST}/bin:/usr/sbin:/usr/bin CARGO_HOME=${path.dirname(REGISTRY)}`];
  fs.writeFileSync(path.join(context, 'Dockerfile'), dockerfile.join('\n'));
  await engine.build(`docker.io/library/${name}`, context);
  fs.rmSync(root, { recursive: true });

  const registry = path.join(process.env.CARGO_HOME ?? path.join(process.env.HOME, '.cargo'), 'registry');
  const volume = (from, to) => ['--volume', `${from}:${to}`];
  const rust = await run('rustc', ['--print', 'sysroot']);
  return [...volume(rust, `${RUST}:ro`), ...volume(registry, REGISTRY), ...volume(CERTIFICATES, `${CERTIFICATES}:ro`)];
}
