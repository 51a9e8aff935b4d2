// A login and a counter in Express.
import express from 'express';
import client from '../../../clients/node/src/express.js';
import { counterPage } from '../../../examples/node/page.mjs';

const app = express();
app.use(express.urlencoded());
app.use(client.sessions({ service: process.env.CLOAKROOM_ADDRESS, deadline: 20_000 }));

const page = ({ name, count }) =>
  counterPage({ name: name && { json: JSON.stringify(name) }, count: count && { json: String(count) } });

app.get('/', (request, response) => response.send(page(request.session)));
app.post('/login', (request, response) => {
  request.session.name = request.session.subject = request.body.name;
  response.redirect(303, '/');
});
app.post('/count', async (request, response) => {
  await request.session.increment('count').save();
  response.send(page(request.session));
});
app.post('/logout', async (request, response) => {
  await request.session.destroy();
  response.redirect(303, '/');
});

const server = app.listen(process.env.PORT, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
