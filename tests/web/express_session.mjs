// Express's `req.session` in Cloakroom, with the members of express-session that applications use.
import { destroy, isTemporary, open, save } from '../../examples/node/sessions.mjs';

// The middleware. `subjectOf` returns the user of a session, or '' if nobody is logged in.
export const sessions = ({ subjectOf }) => async (request, response, next) => {
  const state = new SessionState(request, subjectOf);
  await state.open();
  holdBack(response, state);
  next();
};

// Its own properties are the entries of the session.
class Session {
  #state;

  constructor(state, entries = {}) {
    this.#state = state;
    Object.assign(this, entries);
  }

  get id() { return this.#state.id; }
  // Whether no session is possible, because the request has the cookies of two of them.
  get isNull() { return this.#state.opened.session.nullSession !== null; }
  save(callback) { this.#state.save().then(() => callback(), callback); }
  regenerate(callback) { this.#state.regenerate().then(() => callback(), callback); }
  destroy(callback) { this.#state.destroy().then(() => callback(), callback); }
}

// The session of one request as the service has it, and the one list of headers for the response.
class SessionState {
  constructor(request, subjectOf) {
    Object.assign(this, { request, subjectOf, cookies: request.headers.cookie ?? '', isRegenerated: false });
  }

  async open() {
    this.opened = await withStatus(open(this.cookies));
    const { id, entries } = this.opened.session;
    Object.assign(this, { id, headers: this.opened.readHeaders, isSaved: false });
    const values = Object.entries(entries).map(([name, { json }]) => [name, JSON.parse(json)]);
    this.request.session = new Session(this, Object.fromEntries(values));
    this.stored = this.content();
  }

  async save() {
    const changes = this.changes();
    if (!changes) return;
    if (this.request.session.isNull) throw httpError(400, this.opened.session.nullSession.message);
    let saved = await withStatus(save(this.opened, changes));
    if (saved.outcome === 'OUTCOME_GONE' && changes.subject) {
      // Another request has replaced the token. A login begins a session in any case.
      this.opened = await withStatus(open(''));
      saved = await withStatus(save(this.opened, changes));
    }
    // After several saves, the headers are those of the last one with a Set-Cookie, or else of the last one.
    if (!this.isSaved || !setsCookie(this.headers) || setsCookie(saved.headers)) this.headers = saved.headers;
    this.isSaved = true;
    const isLogout = changes.clear && Object.keys(changes.set).length === 0;
    if (saved.outcome === 'OUTCOME_GONE' && !isLogout) throw httpError(409, 'This session has ended.');
    this.id = saved.session?.id ?? '';
    // Without a token, the browser keeps its cookie, and the token of the open stays good for this request.
    this.opened.session.token = saved.session?.token || this.opened.session.token;
    Object.assign(this, { stored: this.content(), isRegenerated: false });
  }

  // As in express-session, the new session is stored with the next save, which also replaces the token.
  async regenerate() {
    if (this.request.session.isNull) {
      await this.destroy();
      this.cookies = '';
      await this.open();
    }
    this.isRegenerated = true;
    this.request.session = new Session(this);
  }

  async destroy() {
    ({ headers: this.headers } = await withStatus(destroy(this.cookies)));
    this.request.session = undefined;
  }

  // Returns what the request has changed since the open or the last save, if anything.
  changes() {
    if (!this.request.session) return undefined;
    const before = this.isRegenerated ? { entries: {}, subject: '' } : this.stored;
    const { entries, subject } = this.content();
    const unset = Object.keys(before.entries).filter((name) => !(name in entries));
    const changed = Object.entries(entries).filter(([name, json]) => json !== before.entries[name]);
    if (!this.isRegenerated && unset.length === 0 && changed.length === 0) return undefined;
    const set = Object.fromEntries(changed.map(([name, json]) => [name, { json }]));
    return { clear: this.isRegenerated, unset, set, ...(subject !== before.subject && { subject }) };
  }

  content() {
    const { session } = this.request;
    const texts = Object.entries(session).map(([name, value]) => [name, JSON.stringify(value)]);
    return { entries: Object.fromEntries(texts.filter(([, json]) => json)), subject: this.subjectOf(session) };
  }
}

// Holds the response back until the session is saved, because its head depends on that.
function holdBack(response, state) {
  let held = [];
  let isReleased = false;
  const release = async () => {
    await state.save().catch((error) => {
      for (const name of response.getHeaderNames()) response.removeHeader(name);
      response.statusCode = error.status;
      held = [() => response.end(error.message)];
    });
    isReleased = true;
    for (const { name, value } of state.headers) response.appendHeader(name, value);
    for (const send of held) send();
  };
  for (const name of ['writeHead', 'flushHeaders', 'write', 'end']) {
    const send = response[name].bind(response);
    response[name] = (...args) => {
      if (isReleased) return send(...args);
      if (held.push(() => send(...args)) === 1) release();
      return name === 'write' || response;
    };
  }
}

const setsCookie = (headers) => headers.some(({ name }) => name === 'Set-Cookie');
const httpError = (status, message) => Object.assign(new Error(message), { status });
const withStatus = (call) =>
  call.catch((error) => { throw Object.assign(error, { status: isTemporary(error) ? 503 : 500 }); });
