// Renders the manifests with kustomize, and validates them against the schemas of Kubernetes.
import fs from 'node:fs';
import path from 'node:path';
import { ROOT, run, TOOLS } from './engine.mjs';

// Runs a command that prints YAML, and returns its documents. They can be written as JSON, because JSON is valid YAML.
export async function documents(command, args) {
  const script = 'set -o pipefail; "${@:3}" | "$1" -c "$2"';
  const convert = 'import json, sys, yaml; json.dump([one for one in yaml.safe_load_all(sys.stdin) if one], sys.stdout)';
  return JSON.parse(await run('bash', ['-c', script, 'documents', path.join(TOOLS, 'python'), convert, command, ...args], { cwd: ROOT }));
}

export const render = (folder) => documents(path.join(TOOLS, 'kubectl'), ['kustomize', folder]);

// Renders a kustomization of the test. Its paths are relative to the repository.
export async function renderWith(kustomization) {
  const folder = fs.mkdtempSync(path.join(ROOT, 'target/kustomize-'));
  const fromFolder = (name) => path.relative(folder, path.join(ROOT, name));
  const { resources = [], components = [], ...rest } = kustomization;
  const complete = { ...rest, resources: resources.map(fromFolder), components: components.map(fromFolder) };
  fs.writeFileSync(path.join(folder, 'kustomization.yaml'), JSON.stringify(complete));
  try {
    return await render(path.relative(ROOT, folder));
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

export const withMonitoring = (folder) =>
  renderWith({ resources: [folder], components: ['deploy/kubernetes/monitoring'] });

// Fails if a document has an invalid or unknown field, by the newest schemas or those of a version such as `1.25.0`.
export async function validate(documents, version) {
  const folder = fs.mkdtempSync(path.join(ROOT, 'target/manifests-'));
  const files = documents.map((document, number) => {
    const file = path.join(folder, `${number}.json`);
    fs.writeFileSync(file, JSON.stringify(document));
    return file;
  });
  try {
    await run(path.join(TOOLS, 'kubernetes-validate'), ['--strict', '--quiet', ...(version ? ['--kubernetes-version', version] : []), ...files]);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}
