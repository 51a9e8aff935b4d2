// Real packages on `req.session`: passport, connect-flash, csrf-sync and multer, in a browser that loses answers.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import flash from 'connect-flash';
import { csrfSync } from 'csrf-sync';
import express from 'express';
import multer from 'multer';
import passport from 'passport';
import { Strategy } from 'passport-local';
import { sessions } from 'cloakroom-sessions/express';
import { Browser, serve } from './app.mjs';
import { Service } from './service.mjs';

const PASSWORD = 'correct horse';
const APPS = { 'with a user': 'subject', 'without a user': undefined };

let service;
let servers;

before(async () => {
  service = await Service.start();
  servers = Object.fromEntries(await Promise.all(Object.entries(APPS).map(async ([name, user]) => [name, await serve(makeApp(user))])));
});

after(async () => {
  for (const server of Object.values(servers ?? {})) server.stop();
  await service?.remove();
});

function makeApp(user) {
  const authenticator = new passport.Passport();
  authenticator.use(new Strategy((name, password, done) => done(null, password === PASSWORD && { name }, { message: 'wrong' })));
  authenticator.serializeUser((each, done) => done(null, each.name));
  authenticator.deserializeUser((name, done) => done(null, { name }));
  const { csrfSynchronisedProtection } = csrfSync({ getTokenFromRequest: (request) => request.body?.csrf });

  const app = express();
  app.use(express.urlencoded({ extended: false }));
  app.use(sessions({ service: service.address, app: 'shop', deadline: 30_000, onGone: () => {},
    ...(user && { subject: ({ passport: kept }) => kept?.user }) }));
  app.use(authenticator.session());
  app.use(flash());
  // multer reads the token of the form, so it comes first.
  const files = multer({ fileFilter: (request, file, done) => {
    request.session.offered = file.originalname;
    done(null, request.user !== undefined);
  } });
  app.post('/upload', files.single('file'), csrfSynchronisedProtection, (request, response) => {
    request.session.files = [...request.session.files ?? [], request.file?.size];
    response.send(`${request.user?.name}: ${request.session.offered}, ${request.session.files}`);
  });
  app.use(csrfSynchronisedProtection);
  const page = (request) => JSON.stringify({
    who: request.user?.name ?? null, subject: request.session.subject ?? null, notes: request.session.notes?.length ?? 0,
    messages: request.flash(), csrf: request.csrfToken(),
  });
  app.get('/', (request, response) => response.send(page(request)));
  app.get('/login', (request, response) => response.send(page(request)));
  app.post('/login', (request, response, next) => authenticator.authenticate('local', {
    keepSessionInfo: true, successRedirect: '/', failureRedirect: '/login', failureFlash: true, successFlash: 'welcome',
  })(request, response, next));
  app.post('/note', (request, response) => {
    if (!request.user) return response.redirect(303, '/login');
    (request.session.notes ??= []).push(request.body.text);
    return response.redirect(303, '/');
  });
  app.post('/logout', (request, response, next) => {
    const goHome = (error) => (error ? next(error) : response.redirect(303, '/'));
    const logOut = (options, done) => request.logout(options, (error) => (error ? next(error) : done()));
    switch (request.body.way) {
      case 'keepSessionInfo': return logOut({ keepSessionInfo: true }, goHome);
      case 'destroy': return logOut({}, () => request.session.destroy(goHome));
      default: return logOut({}, goHome);
    }
  });
  // A page calls this by itself, and it writes each time.
  app.get('/beacon', (request, response) => {
    request.session.seen = (request.session.seen ?? 0) + 1;
    response.status(204).end();
  });
  app.use((error, request, response, next) => response.status(error.status ?? 500).send(error.message));
  return app;
}

// A browser whose answers may be lost on the way.
class User extends Browser {
  csrf = '';

  async send(method, path, options = {}) {
    const form = method === 'POST' ? { csrf: this.csrf, ...options.form } : undefined;
    const answer = await super.send(method, path, { ...options, form });
    assert.ok(answer.status < 500, answer.text);
    const names = answer.setCookies.map((line) => line.split('=')[0]);
    assert.equal(new Set(names).size, names.length, 'one Set-Cookie of a name');
    return answer;
  }

  receive(answer) {
    super.receive(answer);
    if (answer.text.startsWith('{')) {
      this.page = JSON.parse(answer.text);
      this.csrf = this.page.csrf;
    }
  }

  // Logs in as a user does, in one try.
  async logIn() {
    await this.get('/login');
    const answer = await this.post('/login', { username: 'Ada', password: PASSWORD });
    assert.deepEqual([answer.status, answer.headers.location], [302, '/'], answer.text);
    await this.get('/');
    assert.equal(this.page.who, 'Ada');
    assert.equal((await this.post('/note', { text: 'milk' })).headers.location, '/');
  }
}

const WAYS_TO_LOG_OUT = ['clear', 'keepSessionInfo', 'destroy'];
const STEPS = [
  (user, way, options) => user.get('/login', options),
  (user, way, options) => user.post('/login', { username: 'Ada', password: PASSWORD }, options),
  (user, way, options) => user.get('/', options),
  (user, way, options) => user.post('/note', { text: 'milk' }, options),
  (user, way, options) => user.post('/logout', { way }, options),
];

// A few at a time, for many tasks.
async function atOnce(count, run) {
  let next = 0;
  await Promise.all(Array.from({ length: 8 }, async () => {
    while (next < count) await run(next++);
  }));
}

for (const [name, user] of Object.entries(APPS)) {
  for (const way of WAYS_TO_LOG_OUT) {
    test(`a session ${name}: Ada logs in, writes and logs out by ${way}`, async () => {
      const browser = new User(servers[name].url);
      await browser.logIn();
      await browser.get('/');
      const loggedIn = browser.page;
      await browser.post('/logout', { way });
      await browser.get('/');

      assert.deepEqual([loggedIn.subject, loggedIn.notes], [user ? 'Ada' : null, 1]);
      assert.deepEqual([browser.page.who, browser.page.subject, browser.page.notes],
        [null, null, way === 'keepSessionInfo' ? 1 : 0]);
    });

    test(`a session ${name}: whichever answers are lost before and after a logout by ${way}, the next login works`, async () => {
      // The bits of a number are the answers that are lost, and whether the pages have a beacon.
      await atOnce(2 ** (STEPS.length + 1), async (bits) => {
        const browser = new User(servers[name].url);
        for (const [i, step] of STEPS.entries()) {
          if (bits >> STEPS.length) await browser.get('/beacon');
          await step(browser, way, { isLost: Boolean(bits >> i & 1) });
        }

        await browser.logIn();
      });
    });
  }

  test(`a session ${name}: several logins in a row can lose their answers`, async () => {
    const browser = new User(servers[name].url);
    for (let i = 0; i < 6; i += 1) {
      await browser.get('/login');
      const answer = await browser.post('/login', { username: 'Ada', password: PASSWORD }, { isLost: true });
      assert.equal(answer.headers.location, '/');
    }

    await browser.logIn();
  });
}

test('a login replaces the token and keeps the id and the notes of before', async () => {
  const browser = new User(servers['without a user'].url);
  await browser.get('/login');
  await browser.get('/beacon');
  const before = browser.cookies.get('session');

  await browser.logIn();

  assert.notEqual(browser.cookies.get('session'), before);
  const stolen = new User(browser.url);
  stolen.cookies.set('session', before);
  await stolen.get('/');
  assert.equal(stolen.page.who, null);
});

test('a flash message is shown once, after the redirect', async () => {
  const browser = new User(servers['with a user'].url);
  await browser.get('/login');

  const refused = await browser.post('/login', { username: 'Ada', password: 'wrong' });
  await browser.get('/login');
  const shown = browser.page.messages;
  await browser.get('/login');

  assert.equal(refused.headers.location, '/login');
  assert.deepEqual([shown, browser.page.messages], [{ error: ['wrong'] }, {}]);
});

test('an upload by multer reads the session and writes it, also while the body arrives', async () => {
  const user = new User(servers['with a user'].url);
  await user.logIn();
  const cookie = `session=${user.cookies.get('session')}`;
  const upload = async (name, content, csrf) => {
    const form = new FormData();
    form.set('csrf', csrf);
    form.set('file', new Blob([content]), name);
    const response = await fetch(`${user.url}/upload`, { method: 'POST', headers: { cookie }, body: form });
    return [response.status, await response.text()];
  };

  const first = await upload('a.txt', 'hello', user.csrf);
  const second = await upload('b.bin', new Uint8Array(1 << 20), user.csrf);
  const refused = await upload('c.txt', 'evil', 'of another site');

  assert.deepEqual([first, second], [[200, 'Ada: a.txt, 5'], [200, 'Ada: b.bin, 5,1048576']]);
  assert.equal(refused[0], 403);
});

test('a form without the token of its session is refused', async () => {
  const browser = new User(servers['with a user'].url);
  await browser.get('/login');
  browser.csrf = 'forged';

  assert.equal((await browser.post('/login', { username: 'Ada', password: PASSWORD })).status, 403);
});

test('a logout during a slow request stays a logout', async () => {
  const browser = new User(servers['with a user'].url);
  await browser.logIn();
  const slow = new User(browser.url);
  slow.cookies = new Map(browser.cookies);

  await Promise.all([browser.post('/logout', { way: 'destroy' }), slow.get('/beacon'), slow.get('/beacon')]);
  await browser.get('/');

  assert.equal(browser.page.who, null);
});
