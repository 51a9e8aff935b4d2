// OpenSession: finds the session that a request's cookies name.
'use strict';

const { AMBIGUOUS, invalid } = require('./refusals.js');
const { NOTE, TICKET, TOKEN, idOf, randomToken } = require('./token.js');
const { checkRequestAge } = require('./write.js');
const { VARY, headersOf, newSession, storedSession } = require('./view.js');

/** @typedef {import('./call.js').Call} Call */
/** @typedef {import('./call.js').Presented} Presented */

/** @param {Call} call @param {any} request */
function open(call, request) {
  if (request.maxAuthenticateAge < 1) {
    throw invalid('AUTHENTICATE_AGE_INVALID', 'max_authenticate_age: it has to be a valid and positive span');
  }
  checkRequestAge(request.requestAge);
  call.accept(request);
  const shown = presentedIn(call, request).map((each) => ({ ...each, state: call.state(each.token) }));
  const live = shown.filter(({ state }) => state.record !== undefined);
  if (live.some(({ token }) => token.selector !== live[0].token.selector)) {
    return { session: { nullSession: { reason: 'COOKIES_AMBIGUOUS', message: AMBIGUOUS } }, readHeaders: [VARY] };
  }
  if (live.length > 0) return openLive(call, live.findLast(({ note }) => note === NOTE.none) ?? live[0], request);
  const received = request.cookieHeader === undefined ? Infinity : call.receiveTime(request);
  const isOvertaken = shown.some(({ token }) => received < call.endTime(token));
  const recoveries = shown.filter(({ state }) => state.isReplaced)
    .map(({ token, state }) => call.findRecovery(token, state.rotated))
    .map((found) => ({ ...found, note: isOvertaken || received < found.ended ? NOTE.keep : found.note }));
  const stored = recoveries.find(({ record }) => record !== undefined);
  if (stored !== undefined) return openLive(call, stored, request);
  const { token, note } = recoveries[0] ?? { token: randomToken(), note: isOvertaken ? NOTE.keep : NOTE.none };
  return { session: newSession(call, token, note), readHeaders: [VARY] };
}

/** @param {Call} call @param {any} request @returns {Presented[]} */
function presentedIn(call, { cookieHeader, token = '' }) {
  if (cookieHeader !== undefined) return call.inHeader(cookieHeader);
  if (token.startsWith(TICKET)) return [];
  const verified = call.signer.verify(TOKEN, call.app.name, token, call.now);
  if (verified === undefined) return [];
  const note = verified.note === NOTE.none ? NOTE.none : NOTE.set;
  return [{ token: verified.token, note, isTicket: false, isCookie: false }];
}

/** @param {Call} call @param {{ token: import('./token.js').Token, note: import('./token.js').Note }} found @param {any} request */
function openLive(call, { token, note }, request) {
  const { app, now, signer, store } = call;
  const record = /** @type {import('./record.js').Record} */ (call.load(token));
  const usedBefore = record.used;
  if (!request.noTouch) store.touch(record, request.context, now);
  const text = signer.token(app.name, token, note === NOTE.keep ? NOTE.keep : NOTE.none);
  const session = {
    ...storedSession(record, idOf(app.name, token), text, request.noTouch ? usedBefore : now), entries: record.entries,
  };
  const refreshes = session.permanent === true && app.settings.refreshEachRequest;
  const setsCookie = note === NOTE.set || (note === NOTE.none && refreshes);
  const age = request.maxAuthenticateAge;
  return {
    session,
    readHeaders: headersOf(call, session, { setsCookie, varies: true }),
    untouchedHeaders: headersOf(call, session, { setsCookie, varies: false }),
    recentlyAuthenticated: age !== undefined && record.authenticated !== undefined && now < record.authenticated + age,
    cookieOutdated: note === NOTE.set,
  };
}

module.exports = { open };
