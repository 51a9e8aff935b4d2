// Web pages in Chromium against a service that asks nobody who calls: no page makes a call or reads anything.
//
// Each page makes its attempts against a server that allows everything too, which shows that the attempts work.
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { launchBrowser, Service } from './fixtures.mjs';
import { HostileServer, PAGE } from './hostile_server.mjs';
import { freePort, waitUntil } from './processes.mjs';

const PAGES = { metrics: '/metrics', healthz: '/healthz' };
const LISTENERS = {
  port: { ...PAGES, rpc: '/cloakroom.v1.SessionService/OpenSession', field: 'cookieHeader' },
  adminPort: { ...PAGES, rpc: '/cloakroom.v1.AdminService/ListSessions', field: 'subject' },
};
// A page can read how a server refuses it that it takes for its own: in JSON, for a stream in a frame, and by gRPC in
// headers alone.
const REFUSAL = /^\d+ ([^{]*(\{"error":)?\{"code":"permission_denied",.*"reason":"(BROWSER|HOST)_REFUSED".*)?$/s;
const RESOLVE = '--host-resolver-rules=MAP *.example 127.0.0.1';
// Chromium guards the local network by itself. This one is like the browsers that do not.
const UNGUARDED = '--disable-features=LocalNetworkAccessChecks';

const run = promisify(execFile);
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cloakroom-browser-'));
const file = (name) => path.join(folder, name);
const schemes = { http: {} };
const authors = {}; // The servers of the pages' author, by scheme.
const controls = {}; // The servers that allow everything, in the place of the service.
const services = {};
let chromium;
let context;

before(async () => {
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', file('tls.key')];
  const request = ['req', '-x509', '-subj', '/CN=localhost', ...newKey, '-out', file('tls.crt')];
  execFileSync('openssl', request, { stdio: 'pipe' });
  schemes.https = { tls: { key: fs.readFileSync(file('tls.key')), cert: fs.readFileSync(file('tls.crt')) } };
  fs.writeFileSync(file('page.html'), PAGE);
  for (const [scheme, options] of Object.entries(schemes)) {
    authors[scheme] = await HostileServer.start(options);
    controls[scheme] = await HostileServer.start(options);
  }
  chromium = await launchBrowser([RESOLVE, UNGUARDED, '--ignore-certificate-errors']);
  context = await chromium.newContext({ ignoreHTTPSErrors: true });
});

after(async () => {
  await chromium?.close();
  for (const each of [authors, controls, services].flatMap(Object.values)) await each.stop();
  fs.rmSync(folder, { recursive: true });
});

for (const scheme of ['http', 'https']) {
  // As if a name had changed to the service's address, and as if the page's server had been at that address.
  test(`a page whose own ${scheme} origin becomes the service's makes no call and reads nothing`, async () => {
    const ports = { port: await freePort(), adminPort: await freePort() };
    const pages = [];
    for (const [listener, port] of Object.entries(ports)) {
      const server = await HostileServer.start({ port, ...schemes[scheme] });
      for (const host of scheme === 'http' ? ['rebinding.example', '127.0.0.1'] : ['rebinding.example']) {
        const target = { origin: server.origin(host), paths: LISTENERS[listener] };
        const page = await open(`${target.origin}/page`);
        pages.push({ page, target, arrived: await checkControl(page, server, target) });
      }
      await server.stop();
    }
    services[scheme] = await startService(scheme, ports);

    for (const { page, target, arrived } of pages) {
      const results = await attackService(services[scheme], page, [target], { arrived });

      assert.ok(results.some(([, result]) => REFUSAL.test(result)), 'the page reads that it is refused');
      for (const [name, result] of results) assert.match(result, REFUSAL, name);
      await page.close();
    }
  });
}

const SITES = {
  'another site': { url: () => `${authors.http.origin('evil.example')}/page` },
  'another site of https': { url: () => `${authors.https.origin('evil.example')}/page`, targets: ['http', 'https'] },
  'another port of the address': { url: () => `${authors.http.origin('127.0.0.1')}/page` },
  'another port of localhost': { url: () => `${authors.http.origin('localhost')}/page`, host: 'localhost' },
  'a sandbox': { url: () => `${authors.http.origin('127.0.0.1')}/sandbox` },
  'a data URL': { url: () => `data:text/html;base64,${Buffer.from(PAGE).toString('base64')}` },
  'a file': { url: () => pathToFileURL(file('page.html')).href },
};
for (const [site, { url, host = '127.0.0.1', targets = ['http'] }] of Object.entries(SITES)) {
  test(`a page of ${site} makes no call and reads nothing`, async () => {
    const page = await open(url());

    for (const scheme of targets) {
      const control = { origin: controls[scheme].origin(host), paths: LISTENERS.port };
      const arrived = await checkControl(page, controls[scheme], control);
      const results = await attackService(services[scheme], page, targetsOf(scheme, host), { arrived });

      assert.deepEqual(results, []);
    }
    await page.close();
  });
}

test('a page of a public address makes no call and reads nothing', async (t) => {
  const author = await HostileServer.start();
  t.after(() => author.stop());
  const guarded = await launchBrowser([RESOLVE, `--ip-address-space-overrides=127.0.0.1:${author.port}=public`]);
  t.after(() => guarded.close());
  for (const permissions of [[], ['local-network-access']]) {
    const user = await guarded.newContext();
    await user.grantPermissions(permissions);
    const page = await open(`${author.origin('public.example')}/page`, user);
    const results = await attackService(services.http, page, targetsOf('http', '127.0.0.1'), { helper: author });

    assert.deepEqual(results, []);
    await user.close();
  }
});

test('an address that hides that it leads to loopback is refused', async () => {
  const page = await open(`${authors.http.origin('evil.example')}/page`);
  const loadImage = (url) => page.evaluate((src) => globalThis.load('img', { src }), url);
  controls.http.requests.length = 0;
  const before = await readMetrics(services.http);

  const hosts = ['0.0.0.0', '[::ffff:127.0.0.1]'];
  for (const host of hosts) {
    await loadImage(`${controls.http.origin(host)}/metrics?attempt=an image`);
    for (const listener of Object.keys(LISTENERS)) await loadImage(`http://${host}:${services.http[listener]}/metrics`);
  }

  // Browsers send no sign of a page there, so the host is the only one.
  const sent = controls.http.requests.map(({ headers }) => [headers.origin, headers['sec-fetch-site']]);
  assert.deepEqual(sent, hosts.map(() => [undefined, undefined]));
  const refusals = (metrics) => sum(metrics, 'cloakroom_call_failures_total', 'reason="HOST_REFUSED"');
  assert.ok(refusals(await readMetrics(services.http)) - refusals(before) >= hosts.length * 2);
  await page.close();
});

test('a link to the service opens a refusal, and a typed address opens the page', async () => {
  const { port, adminPort } = services.http;
  const page = await open(`${authors.http.origin('evil.example')}/page`);
  const click = async (href) => {
    await page.setContent(`<a href="${href}">link</a>`);
    await Promise.all([page.waitForURL('http://127.0.0.1:*/**'), page.click('a')]);
    return page.textContent('body');
  };

  assert.match(await click(`http://127.0.0.1:${adminPort}/metrics`), /BROWSER_REFUSED/);
  await page.goto(`${authors.http.origin('evil.example')}/page`);
  assert.match(await click(`http://127.0.0.1:${port}${LISTENERS.port.rpc}`), /BROWSER_REFUSED/);
  assert.equal(await status(page.goto(`http://127.0.0.1:${adminPort}/metrics`)), 200);
  assert.equal(await status(page.goto(`http://localhost:${adminPort}/healthz`)), 200);
  // The same to the service, and the user alone sees the answer: a typed address that redirects to the service.
  const redirect = `${authors.http.origin('evil.example')}/redirect?status=302&to=`;
  assert.equal(await status(page.goto(`${redirect}http://127.0.0.1:${adminPort}/metrics`)), 200);
  assert.equal(await status(page.goto(`http://127.0.0.1:${port}${LISTENERS.port.rpc}`)), 405);
  await page.close();
});

test('programs that are no browser can call', async () => {
  for (const [scheme, service] of Object.entries(services)) {
    const url = `${scheme}://127.0.0.1:${service.port}${LISTENERS.port.rpc}`;
    const before = await readMetrics(service);

    const { stdout } = await run('curl', ['-sk', '--json', '{}', url]);
    // It sends `sec-fetch-mode: cors`, as browsers do.
    const options = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' };
    const fetched = scheme === 'http' && await fetch(url, options);

    assert.ok('session' in JSON.parse(stdout), stdout);
    if (fetched) assert.equal(fetched.status, 200);
    const calls = sum(await readMetrics(service), 'cloakroom_calls_total', 'code="OK"');
    assert.equal(calls - sum(before, 'cloakroom_calls_total', 'code="OK"'), scheme === 'http' ? 2 : 1);
  }
});

const status = async (navigation) => (await navigation).status();

async function open(url, user = context) {
  const page = await user.newPage();
  page.windows = [];
  page.on('popup', (opened) => page.windows.push(opened));
  await page.goto(url);
  await page.evaluate('registered');
  return page;
}

// Both listeners of a service, under a name.
const targetsOf = (scheme, host) => Object.entries(LISTENERS)
  .map(([listener, paths]) => ({ origin: `${scheme}://${host}:${services[scheme][listener]}`, paths }));

// Makes all attempts. Returns what each could read.
const attack = (page, { origin, paths }, helper) =>
  page.evaluate((args) => globalThis.attack(...args), [origin, helper.origin('evil.example'), paths]);

// The page's author has a server of the page's scheme, so that the browser allows what it redirects to.
const helperOf = (page) => authors[page.url().startsWith('https') ? 'https' : 'http'];

// Makes all attempts against a server that allows everything. Returns how many reach it.
async function checkControl(page, server, target) {
  server.requests.length = 0;
  const url = page.url();
  const isOwn = url.startsWith(target.origin);
  const hasServiceWorker = /^https|^http:\/\/(127\.0\.0\.1|localhost).*\/page$/.test(url);
  const isImpossible = (name) =>
    (name.startsWith('fetch same-origin') && (!isOwn || name.includes('redirect'))) ||
    (name === 'a service worker' && !hasServiceWorker) ||
    (name === 'fetch of a stream' && target.origin.startsWith('http:')) ||
    (name === 'a form in a window' && url.endsWith('/sandbox'));

  const results = await attack(page, target, helperOf(page));

  const names = Object.keys(results).filter((name) => !isImpossible(name));
  const missing = () => names.filter((name) => !server.arrived().has(name));
  await waitOrTell('every attempt arrives', () => missing().length === 0, missing);
  const readers = names.filter((name) => /^200 .*an answer/s.test(results[name]));
  await closeWindows(page);
  assert.ok(readers.length >= (isOwn ? 40 : 25), `only ${readers} can read`);
  return server.arrived().size;
}

// Makes all attempts against listeners of the service. Each refuses at least `arrived`. Returns what the page read.
async function attackService(service, page, targets, { arrived = 0, helper = helperOf(page) }) {
  const refusals = async () => sum(await readMetrics(service), 'cloakroom_call_failures_total');
  const before = await refusals();

  const results = await Promise.all(targets.map((target) => attack(page, target, helper)));

  let missing;
  await waitOrTell('every attempt is refused', async () => {
    missing = before + arrived * targets.length - await refusals();
    return missing <= 0;
  }, () => missing);
  await closeWindows(page);
  assertNothingWasDone(await readMetrics(service));
  return results.flatMap(Object.entries).filter(([, result]) => result);
}

const closeWindows = (page) => Promise.all(page.windows.splice(0).map((opened) => opened.close()));

async function waitOrTell(description, condition, missing) {
  const tell = (error) => assert.fail(`${error.message}; missing: ${missing()}`);
  await waitUntil(description, condition, 15_000).catch(tell);
}

function assertNothingWasDone(metrics) {
  const counted = metrics.filter(({ value }) => value > 0);
  const others = (name, pattern) => counted.filter((each) => each.name === name && !pattern.test(each.labels));
  assert.deepEqual(others('cloakroom_calls_total', /code="PERMISSION_DENIED"/), []);
  assert.deepEqual(others('cloakroom_call_failures_total', /reason="(BROWSER|HOST)_REFUSED"/), []);
  for (const name of ['cloakroom_opens_total', 'cloakroom_saves_total', 'cloakroom_sessions_created_total']) {
    assert.equal(sum(metrics, name), 0, name);
  }
}

function startService(scheme, ports) {
  const environment = scheme === 'https' ? Object.fromEntries(['SERVER', 'ADMIN'].flatMap((listener) => [
    [`CLOAKROOM__${listener}__TLS__CERTIFICATE_FILE`, file('tls.crt')],
    [`CLOAKROOM__${listener}__TLS__KEY_FILE`, file('tls.key')],
  ])) : {};
  return Service.start({ ...ports, environment });
}

// Returns the samples of the metrics: name, labels and value.
async function readMetrics({ adminPort, environment }) {
  const scheme = Object.keys(environment).length ? 'https' : 'http';
  const { stdout } = await run('curl', ['-skf', `${scheme}://127.0.0.1:${adminPort}/metrics`], { maxBuffer: 2 ** 24 });
  return stdout.split('\n').flatMap((line) => {
    const [, name, labels, value] = line.match(/^(\w+)(?:\{(.*)\})? (\S+)$/) ?? [];
    return name ? [{ name, labels: labels ?? '', value: Number(value) }] : [];
  });
}

const sum = (metrics, name, label = '') => metrics
  .filter((each) => each.name === name && each.labels.includes(label))
  .reduce((total, { value }) => total + value, 0);
