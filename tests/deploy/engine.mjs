// Builds and runs containers with buildah and podman, in a temporary storage.
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { waitUntil } from '../web/processes.mjs';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const TOOLS = path.join(ROOT, '.tools/python/bin');
const TIMEOUT_MS = 300_000;

// Runs a command to its end and returns its exit code and output. Does not fail for a non-zero exit code.
export async function attempt(command, args, { env, ...options } = {}) {
  const settings = { timeout: TIMEOUT_MS, maxBuffer: 64 << 20, env: { ...process.env, ...env }, ...options };
  try {
    return { code: 0, ...await promisify(execFile)(command, args, settings) };
  } catch (error) {
    if (typeof error.code !== 'number') throw error;
    const { code, stdout, stderr } = error;
    return { code, stdout, stderr };
  }
}

// Runs a command to its end and returns its standard output. Fails with all its output.
export async function run(command, args, options) {
  const { code, stdout, stderr } = await attempt(command, args, options);
  if (code !== 0) throw new Error(`${path.basename(command)} ${args.join(' ')}: exit code ${code}\n${stdout}${stderr}`);
  return stdout.trim();
}

export class Engine {
  constructor() {
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cloakroom-deploy-'));
    const file = (name, text) => {
      fs.writeFileSync(path.join(this.folder, name), text);
      return path.join(this.folder, name);
    };
    // Needs no systemd, no crun and few privileges, so that it also runs inside a container. The subnets differ from
    // podman's defaults, because network bridges remain after their containers are removed.
    this.env = {
      CONTAINERS_CONF: file('containers.conf', `
        [engine]
        runtime = "runc"
        cgroup_manager = "cgroupfs"
        events_logger = "file"
        tmp_dir = "${this.folder}/tmp"
        [network]
        network_backend = "netavark"
        default_subnet = "10.231.0.0/24"
        default_subnet_pools = [{ base = "10.231.128.0/17", size = 24 }]
        network_config_dir = "${this.folder}/networks"
        [containers]
        log_driver = "k8s-file"
        default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
      `),
      CONTAINERS_STORAGE_CONF: file('storage.conf', `
        [storage]
        driver = "vfs"
        graphroot = "${this.folder}/graph"
        runroot = "${this.folder}/run"
      `),
    };
  }

  podman(...args) {
    return run('podman', args, { env: this.env });
  }

  attempt(...args) {
    return attempt('podman', args, { env: this.env });
  }

  // Waits until the container's health check passes. Runs the check itself: podman does so only with systemd.
  async waitUntilHealthy(name) {
    let last;
    const passes = async () => (last = await this.attempt('healthcheck', 'run', name)).code === 0;
    await waitUntil(`${name} is healthy`, passes).catch((error) => {
      throw new Error(`the health check of ${name} says ${JSON.stringify(last)}`, { cause: error });
    });
  }

  // Returns what `podman inspect` prints.
  async inspect(...args) {
    return JSON.parse(await this.podman('inspect', ...args))[0];
  }

  // Builds only the Dockerfile's final stage, with a program that is already built.
  async buildImage(program) {
    const context = path.join(this.folder, 'image');
    for (const folder of ['etc/cloakroom', 'data']) fs.mkdirSync(path.join(context, 'out', folder), { recursive: true });
    fs.copyFileSync(program, path.join(context, 'out/cloakroom'));
    const dockerfile = fs.readFileSync(path.join(ROOT, 'Dockerfile'), 'utf8');
    const final = dockerfile.slice(dockerfile.indexOf('\nFROM scratch\n'));
    fs.writeFileSync(path.join(context, 'Dockerfile'), `FROM scratch AS build\nCOPY out /out\n${final}`);
    await this.build('cloakroom:latest', context);
  }

  // Builds a replacement for the public Redis image from this machine's Redis and its libraries.
  async buildRedis(name) {
    const context = path.join(this.folder, 'redis');
    fs.mkdirSync(path.join(context, 'data'), { recursive: true });
    const programs = ['/usr/bin/redis-server', '/usr/bin/redis-cli', '/bin/sh'];
    const libraries = (await run('ldd', programs)).match(/\/\S+(?= \()/g);
    for (const file of new Set([...programs, ...libraries])) {
      const copy = path.join(context, 'root', file);
      fs.mkdirSync(path.dirname(copy), { recursive: true });
      fs.copyFileSync(file, copy);
    }
    const lines = ['FROM scratch', 'COPY root /', 'COPY --chown=999:999 data /data', 'VOLUME /data', 'ENV PATH=/usr/bin'];
    fs.writeFileSync(path.join(context, 'Dockerfile'), lines.join('\n'));
    await this.build(name, context);
  }

  build(name, context, options = [], timeout = TIMEOUT_MS) {
    const args = ['bud', '--isolation', 'chroot', '--pull=never', '--format', 'docker', '--tag', name, ...options, context];
    return run('buildah', args, { env: this.env, timeout });
  }

  // Stops and removes everything except the images.
  async clear() {
    await this.attempt('pod', 'rm', '--all', '--force', '--time', '0');
    await this.attempt('rm', '--all', '--force', '--volumes', '--time', '0');
    await this.attempt('volume', 'prune', '--force');
    await this.attempt('network', 'prune', '--force');
  }

  // Stops everything and removes the storage.
  async stop() {
    await this.clear();
    // Without root, only podman can remove the files of an image's users.
    if (process.getuid() !== 0) await this.attempt('unshare', 'rm', '-rf', this.folder);
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}
