// A login and a page of the user's devices, in Express.
import express from 'express';
import { AdminClient } from 'cloakroom-sessions/admin';
import { sessions } from 'cloakroom-sessions/express';
import { addDevices } from './devices.mjs';

const app = express();
app.use(sessions({
  service: process.env.CLOAKROOM_ADDRESS ?? 'localhost:50051',
  // The session has ended while the request ran, perhaps on another device. Nothing was saved.
  onGone: (reason, req, res) => { res.status(409); },
}));
app.use(express.urlencoded());

app.get('/', (req, res) => {
  if (req.session.subject) res.redirect('/devices');
  else res.send('<!doctype html><form method="post" action="/login"><input name="name" required><button>Log in</button></form>');
});
// A real application asks for a password.
app.post('/login', async (req, res) => {
  await req.session.regenerate();
  req.session.subject = req.body.name;
  res.redirect('/devices');
});

addDevices(app, new AdminClient({ service: process.env.CLOAKROOM_ADMIN_ADDRESS ?? 'localhost:50052' }));
const port = process.env.PORT ?? 8003;
app.listen(port, '127.0.0.1', () => console.log(`http://127.0.0.1:${port}`));
