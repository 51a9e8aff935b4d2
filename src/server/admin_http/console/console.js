// The console: login, the bar on top, and which view is shown. The address after `#` names the view.
import { call, useKey } from './connect.js';
import { el, note } from './dom.js';
import { appView, eventsView, serviceView } from './service.js';
import { link, sessionsView, sessionView } from './sessions.js';

const VIEWS = { sessions: sessionsView, session: sessionView, app: appView, events: eventsView, service: serviceView };
const TABS = { sessions: 'Sessions', app: 'App', events: 'Events', service: 'Service' };
const HEALTH_EVERY_MS = 10_000;
const NO_SUCH_TOKEN = 'The service does not know this token. If it has callers, `cloakroom caller-token` makes a token, whose hash belongs into token_hashes of [callers]. If not, take the key that it printed at its last start; the one of an earlier start is void.';

const byId = (id) => document.getElementById(id);
let info;
let leaveView = new AbortController();

async function start() {
  const [, key] = /^#([^/].*)$/.exec(location.hash) ?? [];
  if (key) {
    history.replaceState(null, '', location.pathname);
    useKey(key);
  }
  byId('app').addEventListener('change', (event) => go(link(current().view, { app: event.target.value })));
  addEventListener('hashchange', () => show());
  addEventListener('unhandledrejection', (event) => fail(event.reason));
  // A browser shows a certificate by itself. Without one, a call would only be refused.
  if (key) await login();
  else if (location.protocol === 'https:') await login((error) => loginView(error.needsLogin ? undefined : error));
  else loginView();
}

// Loads what the caller may do and see. Asks for a token if the service does not know the caller.
async function login(refuse = loginView) {
  try {
    const [service, { apps = [] }] = await Promise.all([call('GetServiceInfo'), call('ListApps')]);
    info = service;
    byId('app').replaceChildren(...apps.map(({ policy }) => el('option', {}, policy.app)));
    byId('app-choice').hidden = apps.length === 0;
  } catch (error) {
    return refuse(error);
  }
  checkHealth();
  setInterval(checkHealth, HEALTH_EVERY_MS);
  return show();
}

function loginView(error) {
  const field = el('input', { type: 'password', autocomplete: 'off', autofocus: true });
  const onsubmit = (event) => {
    event.preventDefault();
    useKey(field.value.trim());
    login();
  };
  const why = error ? note(error.needsLogin ? NO_SUCH_TOKEN : error.message, 'bad') : '';
  const help = 'The token of a caller with the role admin or viewer, or the key that the service printed at its start. It stays in this page and is gone when you close or reload it.';
  byId('main').replaceChildren(
    el('h1', {}, 'Log in'), why, note(help),
    el('form', { className: 'row', onsubmit }, el('label', { className: 'wide' }, 'Token', field), el('button', {}, 'Log in')),
  );
  field.focus();
}

// Returns the view and the parameters that the address names.
function current() {
  const [, view, query] = /^#\/(\w+)(?:\?(.*))?$/.exec(location.hash) ?? [];
  const parameters = Object.fromEntries(new URLSearchParams(query));
  return { view: Object.hasOwn(VIEWS, view ?? '') ? view : 'sessions', parameters: { app: byId('app').value, ...parameters } };
}

// Shows a view, with a note above it.
async function go(address, message) {
  if (location.hash !== address) history.pushState(null, '', address);
  await show(message);
}

async function show(message = '') {
  if (!info) return;
  leaveView.abort();
  leaveView = new AbortController();
  const { signal } = leaveView;
  const { view, parameters } = current();
  byId('app').value = parameters.app;
  byId('tabs').replaceChildren(...Object.entries(TABS).map(([name, title]) => tab(name, title, view, parameters.app)));
  // At once, for when the view is loaded its user may be elsewhere.
  byId('main').focus();
  try {
    const content = await VIEWS[view](parameters, { go, info, signal });
    if (signal.aborted) return;
    byId('main').replaceChildren(...[message, content].flat(Infinity).filter(Boolean));
  } catch (error) {
    if (!signal.aborted) byId('main').replaceChildren(note(error.message, 'bad'));
  }
}

function tab(name, title, view, app) {
  const isCurrent = name === view || (name === 'sessions' && view === 'session');
  return el('a', { href: link(name, { app }), ...(isCurrent && { 'aria-current': 'page' }) }, title);
}

function fail(error) {
  if (error?.name !== 'AbortError') byId('main').prepend(note(error?.message ?? String(error), 'bad'));
}

async function checkHealth() {
  const isServing = await call('/grpc.health.v1.Health/Check', { service: 'cloakroom.v1.AdminService' })
    .then(({ status }) => status === 'SERVING', () => false);
  byId('health').className = isServing ? 'good' : 'bad';
  byId('health').textContent = isServing ? '● serving' : '● not serving';
}

start();
