// The configuration that the chart renders, as the built service understands it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { attempt } from '../deploy/engine.mjs';
import { render } from '../deploy/kubernetes.mjs';
import { freePort, Process, waitUntil } from '../web/processes.mjs';
import { find, renderChart, tomlOf, VALUES } from './chart.mjs';
import { CLOAKROOM, inFolder, settingsOf } from './service.mjs';

const settings = async (name, ...set) => settingsOf(tomlOf(await renderChart(name, ...set)));

for (const name of VALUES) {
  test(`cloakroom check passes for the values ${name}`, async () => {
    const printed = await settings(name);
    for (const line of ['listen = "0.0.0.0:50051"', 'shutdown_delay = "5s"', 'insecure = false']) assert.ok(printed.includes(line), line);
  });
}

test('every kind of value reaches the service as it was written', async () => {
  const values = {
    server: { request_budget_bytes: 4398046511104 / 4, max_calls: 7, protocols: ['grpc'] },
    log: { level: 'warn,cloakroom::audit=info' },
    apps: { default: { subject_key: 'a"b\\c <é>', refresh_each_request: false, cookie: { samesite: '' } } },
  };
  const printed = await settings('redis', '--set-json', `config=${JSON.stringify(values)}`);

  for (const line of ['request_budget_bytes = 1099511627776', 'max_calls = 7', 'protocols = ["grpc"]', 'level = "warn,cloakroom::audit=info"',
    'refresh_each_request = false', 'samesite = ""']) assert.ok(printed.includes(line), `${line}\n${printed.join('\n')}`);
  assert.ok(printed.some((line) => line.startsWith('subject_key') && line.includes('<é>')), printed.join('\n'));
});

test('a setting that the service does not know is an error of the service, with its name', async () => {
  await assert.rejects(settings('redis', '--set', 'config.server.max_call=7'), /max_call/);
});

const commands = (rendered) => {
  const [container] = find(rendered, 'Deployment').spec.template.spec.containers;
  return ['livenessProbe', 'readinessProbe', 'startupProbe'].map((probe) => container[probe].exec.command);
};

for (const [name, rendered] of [['the chart', renderChart('embedded')], ['kustomize', render('deploy/kubernetes/base')]]) {
  test(`the probes of ${name} pass while a wrong configuration is refused`, () => inFolder(async (folder) => {
    const admin = await freePort();
    const file = path.join(folder, 'cloakroom.toml');
    fs.writeFileSync(file, `[server]\nlisten = "127.0.0.1:0"\n[admin]\nlisten = "127.0.0.1:${admin}"\n[store]\nkind = "memory"\n`);
    const service = new Process(CLOAKROOM, ['serve', '--config', file]);
    const env = { ...process.env, CLOAKROOM_CONFIG: file };
    const probe = async ([program, ...args]) => {
      assert.equal(program, '/cloakroom');
      return (await attempt(CLOAKROOM, args.map((arg) => arg.replace(/:50052$/, `:${admin}`)), { env })).code;
    };
    try {
      const all = await Promise.resolve(rendered).then(commands);
      await service.whileRunning(waitUntil('the service serves', async () => await probe(all[1]) === 0));
      fs.writeFileSync(file, '[server]\nlisten = "nowhere"\n');

      assert.equal((await attempt(CLOAKROOM, ['healthcheck', '--live'], { env })).code, 78, 'the listeners are wrong');
      for (const command of all) assert.equal(await probe(command), 0, command.join(' '));
    } finally {
      await service.stop();
    }
  }));
}
