// Counts the visits of one session in two requests, with express-session and the packages that npm has installed.
//
//   node count_store.cjs SERVICE
'use strict';

const express = require('express');
const session = require('express-session');
const { CloakroomStore } = require('connect-cloakroom');

const store = new CloakroomStore({ service: process.argv[2], app: 'external', deadline: 60_000 });
const app = express();
app.use(session({ store, secret: 'a secret', resave: false, saveUninitialized: false }));
app.get('/', (req, res) => res.send(String(req.session.visits = (req.session.visits ?? 0) + 1)));

const server = app.listen(0, '127.0.0.1', async () => {
  const url = `http://127.0.0.1:${server.address().port}/`;
  const first = await fetch(url);
  const [cookie] = first.headers.getSetCookie()[0].split(';');
  // express-session sends the headers before it saves, and the end of the body after that.
  const visits = [await first.text()];
  visits.push(await (await fetch(url, { headers: { cookie } })).text());
  console.log(...visits);
  process.exit();
});
