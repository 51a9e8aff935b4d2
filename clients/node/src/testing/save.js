// SaveSession: applies the changes of a request.
'use strict';

const { CallFailed } = require('../errors.js');
const { newTicket, setsCookieFor } = require('./call.js');
const { checkValues, mayBeginAnew } = require('./changes.js');
const { destroyAll } = require('./destroy.js');
const { enforceLimit, evict } = require('./limit.js');
const { PreparedSave } = require('./prepared_save.js');
const { NO_FINGERPRINT, Record } = require('./record.js');
const { NOTE, idOf, isSame } = require('./token.js');
const { VARY, headersOf, newSession, storedSession } = require('./view.js');
const { checkRequestAge, checkRequestId, etagError, etagIn, writeTo } = require('./write.js');

/** @typedef {import('./call.js').Call} Call */
/** @typedef {import('./call.js').Presented} Presented */
/** @typedef {import('./write.js').Done} Done */

/** @param {Call} call @param {any} request */
function save(call, request) {
  checkValues(request.changes);
  const etag = etagIn(request.etag);
  checkRequestId(request.requestId);
  checkRequestAge(request.requestAge);
  call.accept(request);
  /** @type {Presented} */
  let shown;
  try {
    shown = call.ofWrite(request) ?? newTicket();
  } catch (error) {
    const isAmbiguous = error instanceof CallFailed && error.reason === 'COOKIES_AMBIGUOUS';
    if (!isAmbiguous || !mayBeginAnew(request.changes, call.app.settings.subjectKey)) throw error;
    const prepared = PreparedSave.of(call, request, etag, newTicket());
    // What would be refused ends nothing.
    if (!prepared.mayCreate) throw etagError(prepared.write);
    const { refusal } = firstRecord(call, prepared);
    if (refusal !== undefined) throw refusal;
    destroyAll(call, request.cookieHeader, NO_FINGERPRINT);
    return savePrepared(call, prepared, request);
  }
  if (request.cookieOutdated && !shown.isTicket && !shown.isCookie && shown.note === NOTE.none) {
    shown = { ...shown, note: NOTE.set };
  }
  if (request.changes === undefined && !request.rotate) return saveUnmodified(call, shown, request);
  return savePrepared(call, PreparedSave.of(call, request, etag, shown), request);
}

/** @param {Call} call @param {PreparedSave} first @param {any} request */
function savePrepared(call, first, { accessed: varies, requestAge }) {
  let prepared = first;
  let done = trySave(call, prepared);
  if (done !== undefined && done.verdict !== 'allowed' && prepared.presented.isCookie) {
    // A save by cookie_header is an open and a save in one step.
    const { requestId } = prepared.write.by;
    const anew = call.beginAnew(prepared.presented.token, { requestId, requestAge });
    if (anew === undefined) return savedResponse(call, prepared, done, varies);
    prepared = prepared.with(anew);
    done = trySave(call, prepared);
  }
  const { changes, presented } = prepared;
  if (done !== undefined) {
    evict(call, prepared, done);
    return savedResponse(call, prepared, done, varies);
  }
  if (changes !== undefined && changes.permanent === undefined) {
    return deletedResponse(call, presented, 'EMPTIED', new Map(), varies);
  }
  return unchangedResponse(call, newSession(call, presented.token, presented.note), { setsCookie: false, varies });
}

/** Writes a save with its credential. Returns undefined if there is no session and nothing to store.
 * @param {Call} call @param {PreparedSave} prepared @returns {Done | undefined} */
function trySave(call, prepared) {
  enforceLimit(call, prepared);
  const { app, store, now } = call;
  const { token, isTicket } = prepared.presented;
  if (!isTicket) return writeTo(call, prepared.rotating(now));
  const { first, refusal } = firstRecord(call, prepared);
  if (first !== undefined && prepared.mayCreate && store.create(app.name, idOf(app.name, token), first.record, now)) {
    const { record, counters } = first;
    return { verdict: 'allowed', outcome: 'CREATED', record, token: { ...token, verifier: record.verifier }, counters };
  }
  const done = writeTo(call, prepared.rotating(now));
  if (done.verdict !== 'missing') return done;
  if (!prepared.mayCreate) throw etagError(prepared.write);
  if (refusal !== undefined) throw refusal;
  return undefined;
}

/** Returns the record of a session that does not exist yet, or why it is refused. It may have nothing to store.
 * @param {Call} call @param {PreparedSave} prepared
 * @returns {{ first?: import('./store.js').Applied, refusal?: unknown }} */
function firstRecord({ app, now }, prepared) {
  // An older credential leads to a recovery session. Its holder must not share it after a login.
  const { token, edit, by } = prepared.presented.note === NOTE.none ? prepared.write : prepared.rotating(now);
  if (edit?.changes === undefined) return {};
  try {
    const first = edit.apply(new Record(token.verifier, app.anonymous, now), now);
    const { record } = first;
    const isEmpty = record.entries.size === 0 && record.subject === '' && !edit.keepEmpty;
    if (first.effect === 'DELETED' || isEmpty) return {};
    record.version = 1;
    record.remember(by, now, 'CREATED');
    return { first };
  } catch (refusal) {
    return { refusal };
  }
}

/** @param {Call} call @param {Presented} presented @param {any} request */
function saveUnmodified(call, presented, { context, accessed: varies, requestAge }) {
  const { app, store, signer, now } = call;
  let shown = presented;
  let state = call.state(shown.token);
  if (shown.isCookie && state.record === undefined) {
    const anew = call.beginAnew(shown.token, { requestAge });
    if (anew === undefined) return goneResponse(state.reason, varies);
    shown = anew;
    state = call.state(shown.token);
  }
  if (state.record !== undefined) {
    store.touch(state.record, context, now);
    const text = shown.note === NOTE.keep ? '' : signer.token(app.name, shown.token, NOTE.none);
    const session = storedSession(state.record, idOf(app.name, shown.token), text, now);
    const refreshes = app.settings.refreshEachRequest && session.permanent === true && shown.note !== NOTE.keep;
    return unchangedResponse(call, session, { setsCookie: refreshes || setsCookieFor(shown, shown.token), varies });
  }
  if (state.isKnown || !shown.isTicket) return goneResponse(state.reason, varies);
  return unchangedResponse(call, newSession(call, shown.token, shown.note), { setsCookie: false, varies });
}

/** @param {Call} call @param {PreparedSave} prepared @param {Done} done @param {boolean} varies */
function savedResponse(call, prepared, done, varies) {
  const { verdict, outcome, reason, record, token, counters } = done;
  if (verdict !== 'allowed') return goneResponse(reason, varies);
  if (outcome === 'DELETED') return deletedResponse(call, prepared.presented, reason, counters, varies);
  // A repeated save whose session has ended since.
  if (record === undefined) return { ...goneResponse(undefined, varies), outcome, counters };
  const setsCookie = setsCookieAfter(prepared, record, done);
  const mayHaveToken = token !== undefined && (prepared.presented.note !== NOTE.keep || setsCookie);
  const text = mayHaveToken ? call.signer.token(call.app.name, token, NOTE.none) : '';
  const session = storedSession(record, idOf(call.app.name, prepared.write.token), text, call.now);
  return { outcome, session, headers: headersOf(call, session, { setsCookie, varies }), counters };
}

/** @param {PreparedSave} prepared @param {Record} record @param {Done} done */
function setsCookieAfter({ presented, write, rotation, changes }, record, { outcome, token }) {
  const isOther = token === undefined || !isSame(token, write.token);
  if (presented.note === NOTE.keep) return rotation.mayRotate && isOther;
  if (outcome === 'CREATED' || isOther || record.permanent === true || changes?.touchesPermanent) return true;
  // The browser has this very cookie. A late response must not set it again over a newer one.
  return setsCookieFor(presented, write.token);
}

/** @param {Call} call @param {any} session @param {{ setsCookie: boolean, varies: boolean }} what */
const unchangedResponse = (call, session, what) => ({ outcome: 'UNCHANGED', session, headers: headersOf(call, session, what) });

/** @param {string | undefined} endReason @param {boolean} varies */
const goneResponse = (endReason = 'UNSPECIFIED', varies) => ({ outcome: 'GONE', endReason, headers: varies ? [VARY] : [] });

/** @param {Call} call @param {Presented} presented @param {string | undefined} endReason @param {Map<string, bigint>} counters
 * @param {boolean} varies */
function deletedResponse({ app }, { note }, endReason, counters, varies) {
  // The browser may be about to get the cookie of a login.
  const headers = note === NOTE.keep ? [] : [app.deleteCookie()];
  if (varies || headers.length > 0) headers.push(VARY);
  return { outcome: 'DELETED', endReason, counters, headers };
}

module.exports = { save };
