// Renders the manifests with kustomize, and validates them against the schemas of Kubernetes.
import fs from 'node:fs';
import path from 'node:path';
import { ROOT, run, TOOLS } from './engine.mjs';

// Returns the manifests as a list of documents. They can be written as JSON, because JSON is valid YAML.
export async function render(folder) {
  const rendered = '"$1/kubectl" kustomize "$2" | "$1/python" -c "$3"';
  const convert = 'import json, sys, yaml; json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout)';
  const script = `set -o pipefail; ${rendered}`;
  return JSON.parse(await run('bash', ['-c', script, 'render', TOOLS, folder, convert], { cwd: ROOT }));
}

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

// Fails if a document has an invalid or unknown field.
export async function validate(documents) {
  const folder = fs.mkdtempSync(path.join(ROOT, 'target/manifests-'));
  const files = documents.map((document, number) => {
    const file = path.join(folder, `${number}.json`);
    fs.writeFileSync(file, JSON.stringify(document));
    return file;
  });
  try {
    await run(path.join(TOOLS, 'kubernetes-validate'), ['--strict', '--quiet', ...files]);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}
