// The apps with their settings and numbers, the live events, and the service itself.
import { call, stream } from './connect.js';
import { confirm, duration, el, facts, note, table, tableRow, time, word } from './dom.js';
import { link, sessionLink } from './sessions.js';

const MAX_EVENTS = 500;

// An app: its numbers, its settings in force, its keys.
export async function appView({ app }, { go, info }) {
  const [{ apps = [] }, stats] = await Promise.all([call('ListApps'), call('GetStats', { app })]);
  const { policy = {}, keyIds = [], maxSessionsPerSubject = 0 } = apps.find((each) => each.policy.app === app) ?? {};
  const end = info.mayEndSessions && policy.kind !== 'APP_KIND_COOKIE' && el('button', {
    className: 'danger',
    onclick: async () => {
      if (!await confirm(`End every session of the app ${app}? Everybody is logged out.`, 'End every session', app)) return;
      await call('RevokeApp', { app });
      await go(link('app', { app }), note(`Every session of ${app} has ended.`));
    },
  }, 'End every session');
  return [
    el('h1', {}, `App ${app}`),
    el('h2', {}, 'Numbers'), numbers(stats),
    el('h2', {}, 'Settings in force'), settings(policy, keyIds, maxSessionsPerSubject),
    end && el('div', { className: 'row' }, end),
  ];
}

function numbers(stats) {
  const ended = Object.entries(stats.ended ?? {}).map(([reason, count]) => `${word(reason, '')} ${count}`).join(', ');
  const source = (each) => [each.source, each.imported ?? '0', each.found ?? '0', each.until ? time(each.until) : ''];
  return [
    facts([
      ['Live sessions', stats.live ?? 'not counted'],
      ['Anonymous', stats.liveAnonymous],
      ['Counted', time(stats.scanTime)],
      ['Opened', `${stats.opened ?? 0} by this process`],
      ['Created', `${stats.created ?? 0} by this process`],
      ['Ended', ended && `${ended} by this process`],
      ['Counts from', time(stats.startTime)],
    ]),
    stats.migrations && table(['Imports from', 'Imported', 'Found again', 'Closes'], stats.migrations.map(source)),
  ];
}

function settings(policy, keyIds, maxSessionsPerSubject) {
  const keys = keyIds.map((id, place) => el('div', {}, el('code', {}, id), place ? ' verifies' : ' signs'));
  const flags = [policy.cookieSecure && 'Secure', policy.cookieHttponly && 'HttpOnly', policy.cookieSamesite && `SameSite=${policy.cookieSamesite}`, policy.cookiePartitioned && 'Partitioned'];
  return facts([
    ['Kind', word(policy.kind, 'APP_KIND_')],
    ['Keys', keys.length ? keys : el('span', { className: 'bad' }, 'none: the app has no sessions')],
    ['Idle timeout', duration(policy.idleTimeout)],
    ['Absolute timeout', duration(policy.absoluteTimeout)],
    ['Idle timeout, anonymous', duration(policy.anonymousIdleTimeout)],
    ['Absolute timeout, anonymous', duration(policy.anonymousAbsoluteTimeout)],
    ['Rotation grace', duration(policy.rotationGrace)],
    ['Entry of the subject', policy.subjectKey],
    ['Sessions of a subject', maxSessionsPerSubject ? `at most ${maxSessionsPerSubject}` : 'no limit'],
    ['Size of a session', `at most ${policy.maxEntries} entries, ${policy.maxSessionBytes} bytes`],
    ['Cookie', [el('code', {}, policy.cookieName ?? ''), ` ${flags.filter(Boolean).join('; ')}`]],
  ]);
}

// The events of an app, newest first, until another view is shown.
export async function eventsView({ app }, { signal }) {
  const state = el('p', { className: 'soft', role: 'status' }, 'Connecting…');
  const titles = ['Time', 'Event', 'Session'];
  const list = table(titles, []);
  const [rows] = list.tBodies;
  const cells = (event) => [new Date(event.time).toLocaleTimeString(), eventText(event), event.id ? sessionLink(app, event.id) : ''];
  const receive = ({ events = [] }) => {
    state.textContent = 'Live. Events appear as they happen.';
    for (const event of events) rows.prepend(tableRow(titles, cells(event)));
    while (rows.children.length > MAX_EVENTS) rows.lastChild.remove();
  };
  stream('WatchEvents', { app }, receive, signal).catch((error) => {
    if (!signal.aborted) state.replaceChildren(note(`${error.message}. Open this view again to go on.`, 'bad'));
  });
  return [el('h1', {}, `Events of ${app}`), state, list];
}

function eventText({ kind, endReason }) {
  const text = word(kind, 'SESSION_EVENT_KIND_');
  return endReason ? `${text}: ${word(endReason, 'END_REASON_')}` : text;
}

// The service, this caller and all callers.
export async function serviceView(_, { info }) {
  const callers = (info.callers ?? []).map((caller) => [
    caller.name, (caller.roles ?? []).join(', '), caller.allApps ? 'all' : (caller.apps ?? []).join(', '),
  ]);
  return [
    el('h1', {}, 'Service'),
    facts([
      ['Version', info.version],
      ['Started', time(info.startTime)],
      ['Store', info.store],
      ['You are', info.caller || 'not asked: no callers are configured'],
      ['You may', info.mayEndSessions ? 'read and end sessions' : 'read'],
    ]),
    el('h2', {}, 'Callers'),
    callers.length ? table(['Name', 'Roles', 'Apps'], callers) : note('None are configured, or you may not see them.'),
  ];
}
