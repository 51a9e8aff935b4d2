// What a hostile page can try, in the browser. `attack` makes every attempt, and returns what each could read.
//
// `at(path)` is an address of the target that names the attempt. An attempt returns the status and the text that the
// page read, or nothing. `helper` is a server of the page's author.
const JSON_TYPE = { 'content-type': 'application/json' };
const EMPTY_FRAME = new Uint8Array(5);
const TIMEOUT_MS = 30_000;

async function attack(target, helper, paths) {
  const results = {};
  const attempts = Object.entries({ ...FETCHES, ...REQUESTS, ...ELEMENTS, ...NAVIGATIONS });
  await Promise.all(attempts.map(async ([name, attempt]) => {
    // No address occurs twice, so the browser has none in a cache.
    const at = (path) => `${target}${path}?attempt=${encodeURIComponent(name)}&number=${Math.random()}`;
    const timeout = new Promise((resolve) => setTimeout(resolve, TIMEOUT_MS, 'no end'));
    results[name] = await Promise.race([read(attempt(at, helper, paths)), timeout]);
  }));
  return results;
}

async function read(attempt) {
  try {
    const result = await attempt;
    if (!(result instanceof Response)) return result ?? '';
    return result.type === 'opaque' ? await result.text() : `${result.status} ${await result.text()}`;
  } catch {
    return '';
  }
}

// A body with the content type that the browser gives it: for a text, text/plain.
const BODIES = {
  'a text': () => '{}',
  'a blob of JSON': () => new Blob(['{}'], JSON_OF_BLOB),
  'a blob of a JSON stream': () => new Blob([EMPTY_FRAME], { type: 'application/connect+json' }),
  'a blob of protobuf': () => new Blob([], { type: 'application/proto' }),
  'a blob of gRPC': () => new Blob([EMPTY_FRAME], { type: 'application/grpc' }),
  'a blob of two types': () => new Blob(['{}'], { type: 'text/plain;application/json' }),
  'parameters': () => new URLSearchParams({ '{}': '' }),
  'a form': () => form({ '{}': '' }),
  'a buffer': () => new TextEncoder().encode('{}'),
  // If the service left a body unread, it would take this one for calls.
  'a short body of calls': (path) => calls(path, 3),
  'a long body of calls': (path) => calls(path, 3000),
};
const JSON_OF_BLOB = { type: 'application/json' };

const FETCHES = {};
for (const mode of ['no-cors', 'cors', 'same-origin']) {
  for (const [name, body] of Object.entries(BODIES)) {
    FETCHES[`fetch ${mode} of ${name}`] = (at, _, { rpc }) => fetch(at(rpc), { method: 'POST', mode, body: body(rpc) });
  }
  for (const page of ['rpc', 'metrics', 'healthz']) {
    FETCHES[`fetch ${mode} GET of ${page}`] = (at, _, paths) => fetch(at(paths[page]), { mode });
  }
  FETCHES[`fetch ${mode} HEAD`] = (at, _, { rpc }) => fetch(at(rpc), { method: 'HEAD', mode });
  FETCHES[`fetch ${mode} without a referrer`] = (at, _, { rpc }) =>
    fetch(at(rpc), { method: 'POST', mode, referrerPolicy: 'no-referrer', body: BODIES['a blob of JSON']() });
  FETCHES[`fetch ${mode} kept alive`] = (at, _, { rpc }) =>
    fetch(at(rpc), { method: 'POST', mode, keepalive: true, body: '{}' });
  for (const status of [302, 307, 308]) {
    FETCHES[`fetch ${mode} by a redirect ${status}`] = (at, helper, { rpc }) =>
      fetch(redirect(helper, status, at(rpc)), { method: 'POST', mode, body: '{}' });
  }
}

const REQUESTS = {
  'fetch with a header': (at, _, { rpc }) => fetch(at(rpc), { method: 'POST', headers: JSON_TYPE, body: '{}' }),
  'fetch PUT': (at, _, { rpc }) => fetch(at(rpc), { method: 'PUT', headers: JSON_TYPE, body: '{}' }),
  'fetch OPTIONS': (at, _, { rpc }) => fetch(at(rpc), { method: 'OPTIONS' }),
  'fetch of a stream': (at, _, { rpc }) =>
    fetch(at(rpc), { method: 'POST', headers: JSON_TYPE, duplex: 'half', body: new Blob(['{}']).stream() }),
  'a worker': (at, _, { rpc }) => fetchInWorker(at(rpc)),
  'a service worker': async (at, _, { rpc }) => fetchInServiceWorker(at(rpc)),
  'XMLHttpRequest of a text': (at, _, { rpc }) => sendByXhr(at(rpc), '{}', {}),
  'XMLHttpRequest with a header': (at, _, { rpc }) => sendByXhr(at(rpc), '{}', JSON_TYPE),
  'a beacon of a text': (at, _, { rpc }) => void navigator.sendBeacon(at(rpc), '{}'),
  'a beacon of a blob': (at, _, { rpc }) => void navigator.sendBeacon(at(rpc), new Blob(['{}'], JSON_OF_BLOB)),
  'a beacon of a form': (at, _, { rpc }) => void navigator.sendBeacon(at(rpc), form({ '{}': '' })),
  'EventSource': (at, _, { metrics }) => listen(new EventSource(at(metrics))),
  'WebSocket': (at, _, { rpc }) => listen(new WebSocket(at(rpc).replace(/^http/, 'ws'))),
};

const ELEMENTS = {
  'an image': (at, _, { metrics }) => load('img', { src: at(metrics) }),
  'a video': (at, _, { metrics }) => load('video', { src: at(metrics), preload: 'auto' }),
  'a script': (at, _, { metrics }) => load('script', { src: at(metrics) }),
  'a module': (at, _, { metrics }) => import(at(metrics)).then(() => {}),
  'a style sheet': (at, _, { metrics }) => load('link', { rel: 'stylesheet', href: at(metrics) }),
  'a font': (at, _, { metrics }) => new FontFace('font', `url(${at(metrics)})`).load().then(() => {}),
  'a preload': (at, _, { metrics }) => load('link', { rel: 'preload', as: 'fetch', href: at(metrics) }),
  'a prefetch': (at, _, { metrics }) => load('link', { rel: 'prefetch', href: at(metrics) }),
  'an object': (at, _, { metrics }) => void add('object', { data: at(metrics) }),
  'a ping of a link': (at, _, { rpc }) => add('a', { ping: at(rpc), href: '#', textContent: 'link' }).click(),
  'a report of a policy': (at, helper, { rpc }) =>
    void add('iframe', { src: `${helper}/policy?to=${encodeURIComponent(at(rpc))}` }),
};

const NAVIGATIONS = {
  'a frame of metrics': (at, _, { metrics }) => loadFrame(at(''), (frame) => { frame.src = at(metrics); }),
  'a frame of the RPC': (at, _, { rpc }) => loadFrame(at(''), (frame) => { frame.src = at(rpc); }),
  'a location': (at, _, { metrics }) => loadFrame(at(''), (frame) => { frame.contentWindow.location = at(metrics); }),
  'a redirect to metrics': (at, helper, { metrics }) =>
    loadFrame(at(''), (frame) => { frame.src = redirect(helper, 302, at(metrics)); }),
  'a window': (at, _, { metrics }) => openWindow(at(''), (name) => window.open(at(metrics), name)),
  'a form in a window': (at, _, { rpc, field }) =>
    openWindow(at(''), (name) => {
      const opened = window.open('about:blank', name);
      submit({ action: at(rpc), enctype: 'text/plain', target: name, method: 'POST' }, jsonField(field));
      return opened;
    }),
  'a form by GET': (at, _, { rpc }) =>
    loadFrame(at(''), ({ name }) =>
      submit({ action: at(rpc), target: name, method: 'GET' }, { attempt: 'a form by GET' })),
};
for (const enctype of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
  NAVIGATIONS[`a form of ${enctype}`] = (at, _, { rpc, field }) =>
    loadFrame(at(''), ({ name }) =>
      submit({ action: at(rpc), enctype, target: name, method: 'POST' }, jsonField(field)));
}
for (const status of [307, 308]) {
  NAVIGATIONS[`a form by a redirect ${status}`] = (at, helper, { rpc, field }) => {
    const action = redirect(helper, status, at(rpc));
    return loadFrame(at(''), ({ name }) =>
      submit({ action, enctype: 'text/plain', target: name, method: 'POST' }, jsonField(field)));
  };
}

// As text/plain, a form of this field is JSON with the field `name`.
const jsonField = (name) => ({ [`{"${name}":"`]: '"}' });

const redirect = (helper, status, to) => `${helper}/redirect?status=${status}&to=${encodeURIComponent(to)}`;

function form(fields) {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) data.append(name, value);
  return data;
}

function calls(path, count) {
  const head = ['host: 127.0.0.1', 'content-type: application/json', 'content-length: 2'].join('\r\n');
  return `POST ${path} HTTP/1.1\r\n${head}\r\n\r\n{}`.repeat(count);
}

function fetchInWorker(url) {
  const body = `fetch(${JSON.stringify(url)}, { method: 'POST', body: '{}' })
    .then(async (response) => postMessage(response.status + ' ' + await response.text()), () => postMessage(''));`;
  const worker = new Worker(URL.createObjectURL(new Blob([body])));
  return new Promise((resolve) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = () => resolve('');
  });
}

// The page has registered the worker when it was loaded.
async function fetchInServiceWorker(url) {
  if (!hasServiceWorker) return '';
  const { active } = await navigator.serviceWorker.ready;
  const { port1, port2 } = new MessageChannel();
  active.postMessage(url, [port2]);
  return new Promise((resolve) => { port1.onmessage = ({ data }) => resolve(data); });
}

function sendByXhr(url, body, headers) {
  const request = new XMLHttpRequest();
  request.open('POST', url);
  for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
  request.send(body);
  return new Promise((resolve) => {
    request.onload = () => resolve(`${request.status} ${request.responseText}`);
    request.onerror = () => resolve('');
  });
}

function listen(source) {
  return new Promise((resolve) => {
    source.onmessage = ({ data }) => { source.close(); resolve(`200 ${data}`); };
    source.onerror = () => { source.close(); resolve(''); };
  });
}

function add(tag, properties) {
  const element = Object.assign(document.createElement(tag), properties);
  document.body.append(element);
  return element;
}

function load(tag, properties) {
  return new Promise((resolve) => {
    const element = document.createElement(tag);
    element.onload = () => resolve('');
    element.onerror = () => resolve('');
    Object.assign(element, properties);
    document.body.append(element);
  });
}

// Loads something of the target in a frame, and returns its text if the page may read it.
function loadFrame(target, start) {
  const frame = add('iframe', { name: `frame-${Math.random()}` });
  start(frame);
  // Chromium sometimes never tells that a frame of another origin is loaded, and its text cannot be read anyway.
  if (new URL(target).origin !== location.origin) return '';
  return new Promise((resolve) => { frame.onload = () => resolve(textOf(frame.contentWindow)); });
}

// Opens something of the target in a window, and returns its text if the page may read it. The test closes the window.
async function openWindow(target, start) {
  const opened = start(`window-${Math.random()}`);
  if (new URL(target).origin !== location.origin) return '';
  const isLoading = () => opened.location.href === 'about:blank' || opened.document.readyState !== 'complete';
  while (isLoading()) await new Promise((resolve) => setTimeout(resolve, 20));
  return textOf(opened);
}

function textOf(opened) {
  try {
    const text = opened.document.body.innerText;
    const [{ responseStatus }] = opened.performance.getEntriesByType('navigation');
    return `${responseStatus} ${text}`;
  } catch {
    return '';
  }
}

function submit(properties, fields) {
  const sent = add('form', properties);
  for (const [name, value] of Object.entries(fields)) {
    sent.append(Object.assign(document.createElement('input'), { type: 'hidden', name, value }));
  }
  sent.submit();
}

// Only a secure page of a server has service workers, and only one that is not in a sandbox.
let hasServiceWorker = false;
// Awaited by the test.
globalThis.registered = (async () => {
  try {
    await navigator.serviceWorker.register('/worker.js');
    await navigator.serviceWorker.ready;
    hasServiceWorker = true;
  } catch { /* The page makes its other attempts. */ }
})();
