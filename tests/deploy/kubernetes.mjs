// The manifests as kustomize renders them, and what Kubernetes' own schemas say of them.
import fs from 'node:fs';
import path from 'node:path';
import { ROOT, run, TOOLS } from './engine.mjs';

// A list of documents. JSON is YAML, so whatever reads manifests reads them as they stand here.
export async function render(folder) {
  const rendered = '"$1/kubectl" kustomize "$2" | "$1/python" -c "$3"';
  const convert = 'import json, sys, yaml; json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout)';
  const script = `set -o pipefail; ${rendered}`;
  return JSON.parse(await run('bash', ['-c', script, 'render', TOOLS, folder, convert], { cwd: ROOT }));
}

// Renders the folder with changes of the test's own.
export async function renderWith(kustomization) {
  const folder = fs.mkdtempSync(path.join(ROOT, 'target/kustomize-'));
  const inside = (name) => path.relative(folder, path.join(ROOT, name));
  const { resources = [], components = [], ...rest } = kustomization;
  const whole = { ...rest, resources: resources.map(inside), components: components.map(inside) };
  fs.writeFileSync(path.join(folder, 'kustomization.yaml'), JSON.stringify(whole));
  try {
    return await render(path.relative(ROOT, folder));
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

export const withMonitoring = (folder) =>
  renderWith({ resources: [folder], components: ['deploy/kubernetes/monitoring'] });

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
