// The sessions of an app or of a subject, one session, and what a cookie leads to.
import { call } from './connect.js';
import { confirm, count, el, facts, note, table, time, word } from './dom.js';

const PAGE_SIZE = 50;
const SESSION_ID = /^[0-9a-f]{32}$/;
const TITLES = ['Session', 'Subject', 'Last use', 'Ends', 'Size', 'From'];

export const sessionLink = (app, id) => el('a', { className: 'id', href: link('session', { app, id }), title: id }, `${id.slice(0, 12)}…`);
export const subjectLink = (app, subject) => el('a', { href: link('sessions', { app, subject }) }, subject);
export const link = (view, parameters) => `#/${view}?${new URLSearchParams(parameters)}`;

// The list of an app's sessions, or of a subject's with their ends.
export async function sessionsView({ app, subject = '' }, { go, info }) {
  const rows = el('div');
  const more = el('button', { hidden: true }, 'More');
  let pageToken = '';
  const load = async () => {
    const page = await call('ListSessions', { app, subject, pageSize: PAGE_SIZE, pageToken });
    pageToken = page.nextPageToken ?? '';
    more.hidden = !pageToken;
    return page.sessions ?? [];
  };
  const show = (sessions) => rows.append(table(TITLES, sessions.map((session) => row(app, session))));
  const first = await load();
  if (first.length) show(first);
  else rows.append(note(subject ? `${subject} has no sessions in ${app}.` : `No sessions on this page of ${app}.`));
  more.addEventListener('click', async () => show(await load()));
  const end = subject && first.length > 0 && info.mayEndSessions && el('button', {
    className: 'danger',
    onclick: async () => {
      if (!await confirm(`End ${count(first.length, 'session', 'sessions')} of ${subject} in ${app}?`, 'End them all')) return;
      const { revoked = 0 } = await call('RevokeSubject', { app, subject });
      await go(link('sessions', { app, subject }), note(`${count(Number(revoked), 'session', 'sessions')} of ${subject} ${Number(revoked) === 1 ? 'has' : 'have'} ended.`));
    },
  }, `End all sessions of ${subject}`);
  const title = subject ? `Sessions of ${subject}` : `Sessions of ${app}`;
  const ended = subject && await ends(app, { subject });
  return [el('h1', {}, title), search(app, subject, go), end && el('div', { className: 'row' }, end), rows, more, ended, explainForm(app)];
}

function search(app, subject, go) {
  const field = el('input', { name: 'text', value: subject, autocomplete: 'off', spellcheck: false });
  const onsubmit = (event) => {
    event.preventDefault();
    const text = field.value.trim();
    go(SESSION_ID.test(text) ? link('session', { app, id: text }) : link('sessions', { app, subject: text }));
  };
  return el('form', { className: 'row', role: 'search', onsubmit },
    el('label', { className: 'wide' }, 'Subject or session id', field), el('button', {}, 'Find'));
}

function row(app, session) {
  const { remoteAddress = '', userAgent = '' } = session.context ?? {};
  const size = [count(session.entryCount, 'entry', 'entries'), ', ', count(session.entryBytes, 'byte', 'bytes')];
  return [
    sessionLink(app, session.id),
    session.subject ? subjectLink(app, session.subject) : el('span', { className: 'soft' }, 'anonymous'),
    time(session.accessTime),
    time(session.expireTime),
    size,
    [remoteAddress, userAgent && el('span', { className: 'soft' }, ` ${userAgent}`)],
  ];
}

// One session. The audit log may have the end of one that the store does not know any more.
export async function sessionView({ app, id }, { go, info }) {
  const [{ session, reason }, ended] = await Promise.all([
    call('GetSession', { app, id }).catch((error) => {
      if (error.reason !== 'SESSION_UNKNOWN') throw error;
      return { reason: error.message };
    }),
    ends(app, { id }),
  ]);
  if (!session) return [el('h1', {}, 'Session ', el('code', {}, id)), note(reason, 'bad'), ended];
  const hasEnded = Boolean(session.endReason);
  const entries = el('div', {}, el('button', {
    onclick: async () => {
      const { session: whole } = await call('GetSession', { app, id, withEntries: true });
      entries.replaceChildren(entryTable(whole.entries ?? {}));
    },
  }, 'Show the entries'));
  const end = !hasEnded && info.mayEndSessions && el('button', {
    className: 'danger',
    onclick: async () => {
      if (!await confirm(`End this session${session.subject ? ` of ${session.subject}` : ''}?`, 'End it')) return;
      const { outcome } = await call('RevokeSession', { app, id });
      await go(link('session', { app, id }), note(outcome === 'OUTCOME_DELETED' ? 'The session has ended.' : 'The session had ended before.'));
    },
  }, 'End this session');
  return [
    el('h1', {}, 'Session ', el('code', {}, id)),
    hasEnded && note(endText(session.endReason, session.endTime)),
    sessionFacts(app, session),
    el('div', { className: 'row' }, end),
    !hasEnded && [el('h2', {}, count(session.entryCount, 'entry', 'entries')), entries],
    ended,
  ];
}

function sessionFacts(app, session) {
  return facts([
    ['App', app],
    ['Subject', session.subject ? subjectLink(app, session.subject) : 'anonymous'],
    ['First save', time(session.createTime)],
    ['Login', time(session.authenticateTime)],
    ['Last use', time(session.accessTime)],
    ['Ends', session.endReason ? '' : time(session.expireTime)],
    ['Permanent', session.permanent === undefined ? '' : String(session.permanent)],
    ['Size', count(session.entryBytes, 'byte', 'bytes')],
    ['Address', session.context?.remoteAddress],
    ['Browser', session.context?.userAgent],
  ]);
}

function entryTable(entries) {
  const rows = Object.entries(entries).sort(([one], [other]) => (one < other ? -1 : 1));
  const text = (value) => value.json ?? `${value.raw ?? ''} (base64)`;
  return table(['Name', 'Value'], rows.map(([name, value]) => [el('code', {}, name), el('pre', {}, text(value))]));
}

// What the audit log of this replica has of a session, or of the sessions of a subject.
async function ends(app, wanted) {
  const title = el('h2', {}, 'Ends in the audit log');
  let answer;
  try {
    answer = await call('ListSessionEnds', { app, ...wanted });
  } catch (error) {
    return [title, note(error.message, 'bad')];
  }
  // Only a replica with an audit log counts what it has lost.
  if (answer.lost === undefined) return [title, note('This replica has no audit log; set folder in [audit].')];
  const { ends: list = [], beginTime, lost } = answer;
  const since = beginTime ? ['It has the ends that this replica made since ', time(beginTime), '.'] : 'It is empty.';
  const missing = lost === '0' ? '' : ` ${count(Number(lost), 'end was', 'ends were')} lost.`;
  return [
    title,
    list.length > 0 && table(END_TITLES, list.map((each) => endRow(app, each))),
    el('p', { className: 'soft' }, list.length ? '' : 'No end is in it. ', since, missing),
  ];
}

const END_TITLES = ['Time', 'Reason', 'Session', 'By', 'Call'];

function endRow(app, { time: at, id, reason, caller, rpc = '', callId = '' }) {
  return [
    time(at),
    word(reason, 'END_REASON_'),
    id ? sessionLink(app, id) : 'all of the app',
    caller || 'the service',
    [rpc.replace('cloakroom.v1.', ''), callId && el('span', { className: 'soft' }, ` ${callId}`)],
  ];
}

const REASONS = {
  END_REASON_DESTROYED: 'It was destroyed by its application, as by a logout.',
  END_REASON_EMPTIED: 'Its application removed all that it held.',
  END_REASON_REVOKED: 'An operator or the user ended it.',
  END_REASON_SUPERSEDED: 'Its token was replaced, and the browser shows the old one.',
  END_REASON_IDLE: 'It was not used for longer than its idle timeout.',
  END_REASON_ABSOLUTE: 'It reached its absolute timeout.',
  END_REASON_EVICTED: 'Its subject logged in elsewhere, and had too many sessions.',
};

function endText(reason, at) {
  return [REASONS[reason] ?? word(reason, 'END_REASON_'), ' ', at ? time(at) : ''];
}

const STATES = {
  CREDENTIAL_STATE_LIVE: 'It opens its session.',
  CREDENTIAL_STATE_SUPERSEDED: 'Its session is live, but this token was replaced by a newer one.',
  CREDENTIAL_STATE_ENDED: 'Its session has ended.',
  CREDENTIAL_STATE_UNKNOWN: 'It is genuine, and the store has no session for it: the session ended a while ago, or was lost.',
  CREDENTIAL_STATE_UNUSED: 'It is a ticket that no save has used yet.',
  CREDENTIAL_STATE_REJECTED: 'It does not verify.',
};

function explainForm(app) {
  const field = el('textarea', { autocomplete: 'off', spellcheck: false });
  const result = el('div', { 'aria-live': 'polite' });
  const onsubmit = async (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (!text) return;
    field.value = '';
    const credential = text.includes('=') ? { cookieHeader: text.replace(/^cookie:\s*/i, '') } : { token: text };
    const { explanations = [] } = await call('ExplainCredential', { app, ...credential });
    result.replaceChildren(...(explanations.length ? explanations.map((each) => explanation(app, each)) : [note(`There is no cookie of ${app} in it.`)]));
  };
  return [
    el('h2', {}, 'Why does a cookie open nothing?'),
    el('form', { onsubmit }, el('label', {}, 'Cookie header or token', field), el('div', { className: 'row' }, el('button', {}, 'Explain'))),
    result,
  ];
}

function explanation(app, { state, endReason, endTime, id, rejection, keyId, otherApp }) {
  return el('div', { className: 'note' }, facts([
    ['Result', STATES[state] ?? word(state, 'CREDENTIAL_STATE_')],
    ['Why', endReason ? endText(endReason, '') : word(rejection, '')],
    ['When', time(endTime)],
    ['Session', id ? sessionLink(app, id) : ''],
    ['Signed with key', keyId],
    ['Belongs to app', otherApp],
  ]));
}
