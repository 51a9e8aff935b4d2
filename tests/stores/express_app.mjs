// An application with express-session. Who names a user is logged in.
import { createRequire } from 'node:module';

// Its packages lie where those of the store are.
const require = createRequire(new URL('../../clients/connect-cloakroom/package.json', import.meta.url));
const { CloakroomStore } = require('connect-cloakroom');
const express = require('express');
const session = require('express-session');

const store = new CloakroomStore({ service: process.env.CLOAKROOM_ADDRESS, app: 'stores', deadline: 60_000 });
const app = express();
app.use(session({ store, secret: process.env.SECRET, resave: false, saveUninitialized: false }));
app.use(express.urlencoded({ extended: false }));
app.get('/', (request, response) => {
  const { user } = request.session;
  response.send(`<link rel="icon" href="data:,"><p>${user ? `logged in as ${user}` : 'not logged in'}</p>
<form method="post" action="/login"><input name="username"><button>Log in</button></form>`);
});
app.post('/login', (request, response, next) => {
  request.session.regenerate((error) => {
    if (error) return next(error);
    request.session.user = request.body.username;
    // By itself express-session saves after it has sent the headers, and a browser follows them at once.
    request.session.save((failure) => (failure ? next(failure) : response.redirect('/')));
  });
});
app.get('/set', ({ session: kept, query: { name, value } }, response) => {
  kept[name] = value;
  response.send('set');
});
const server = app.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
