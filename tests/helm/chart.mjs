// Renders the chart with Helm.
import fs from 'node:fs';
import path from 'node:path';
import { attempt, ROOT, run, TOOLS } from '../deploy/engine.mjs';
import { documents } from '../deploy/kubernetes.mjs';

export const CHART = path.join(ROOT, 'deploy/helm/cloakroom');
export const HELM = path.join(ROOT, '.tools/bin/helm');

// The names of the files of values in ci/, such as `redis`.
export const VALUES = fs.readdirSync(path.join(CHART, 'ci')).map((file) => file.replace('-values.yaml', '')).sort();

const valuesFile = (name) => ['--values', path.join(CHART, 'ci', `${name}-values.yaml`)];

// The arguments that render a release `cloakroom` with a file of values, and with more arguments.
export const templateArgs = (name, args = []) => ['template', 'cloakroom', CHART, '--namespace', 'sessions', ...valuesFile(name), ...args];

// Returns the rendered documents.
export const renderChart = (name, ...args) => documents(HELM, templateArgs(name, args));

// Returns what `helm template` prints for values that it refuses, given as an object.
export async function refusal(values) {
  const file = path.join(fs.mkdtempSync(path.join(ROOT, 'target/values-')), 'values.json');
  fs.writeFileSync(file, JSON.stringify(values));
  const { code, stderr } = await attempt(HELM, ['template', 'cloakroom', CHART, '--values', file]);
  fs.rmSync(path.dirname(file), { recursive: true });
  if (code === 0) throw new Error(`the chart takes ${JSON.stringify(values)}`);
  return stderr.replace(/^level=INFO.*\n/gm, '');
}

export const lint = (name) => run(HELM, ['lint', '--strict', CHART, ...valuesFile(name)]);

export const find = (rendered, kind, name) =>
  rendered.find((one) => one.kind === kind && (name === undefined || one.metadata.name === name));

// The pods that a release makes: those of the Deployment, and the one of `helm test`.
export const pods = (rendered) => rendered
  .filter(({ kind }) => ['Deployment', 'Pod'].includes(kind))
  .map((one) => one.spec.template ?? one);

export const tomlOf = (rendered) => find(rendered, 'ConfigMap').data['cloakroom.toml'];

// Reads a file of YAML with one document.
export const yaml = async (file) => (await documents('cat', [file]))[0];

// What Helm renders, for a person to compare: without the two long files that are tested elsewhere.
export async function goldenText(name) {
  const text = await run(HELM, templateArgs(name));
  const parts = text.split(/^---\n/m).filter((part) => !/^# Source: .*\/(dashboard|prometheus-rule)\.yaml$/m.test(part));
  return `${parts.join('---\n').replace(/[ \t]+$/gm, '').replace(/\n{2,}/g, '\n').trim()}\n`;
}

export const goldenFile = (name) => path.join(ROOT, 'tests/helm/golden', `${name}.yaml`);
