// An Express application with a login by passport, forms with the tokens of csrf-sync, and sessions in Cloakroom.
import { csrfSync } from 'csrf-sync';
import express from 'express';
import passport from 'passport';
import { Strategy } from 'passport-local';
import { sessions } from './express_session.mjs';

const PASSWORD = 'correct horse';

passport.use(new Strategy((name, password, done) => done(null, password === PASSWORD && { name })));
passport.serializeUser((user, done) => done(null, user.name));
passport.deserializeUser((name, done) => done(null, { name }));
const logIn = passport.authenticate('local', { keepSessionInfo: true, successRedirect: '/', failureRedirect: '/login' });
const { csrfSynchronisedProtection } = csrfSync({ getTokenFromRequest: (request) => request.body?.csrf });

const app = express();
app.use(express.urlencoded());
app.use(sessions({ subjectOf: (session) => session.passport?.user ?? '' }));
app.use(passport.session());
app.use(csrfSynchronisedProtection);

app.get('/', (request, response) => response.send(page(request)));
app.get('/login', (request, response, next) => {
  const show = (error) => (error ? next(error) : response.send(page(request)));
  // A null session cannot keep the token of the form. So this ends both sessions, one of which may be planted.
  if (request.session.isNull) request.session.regenerate(show);
  else show();
});
app.post('/login', logIn);

app.post('/note', (request, response) => {
  if (!request.user) return response.redirect(303, '/login');
  const { session, body } = request;
  session.notes = [...session.notes ?? [], body.text];
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

const page = ({ user, session, csrfToken }) => `<p id="who">${user ? `Hello, ${user.name}` : 'not logged in'}</p>
  <output id="count">${session.notes?.length ?? 0}</output><input name="csrf" value="${csrfToken()}">`;

const server = app.listen(process.env.PORT, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
