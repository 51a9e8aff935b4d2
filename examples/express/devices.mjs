// A page on which users see where they are logged in, and log out there.
import { randomBytes, timingSafeEqual } from 'node:crypto';

const escapeHtml = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

// Adds the page to an application of Express that has sessions, and bodies of forms in `req.body`. `admin` may end any
// session of the app, so each route asks for those of its own user only.
export function addDevices(app, admin) {
  app.get('/devices', requireUser, async (req, res) => {
    req.session.csrf ??= randomBytes(16).toString('hex');
    const devices = await admin.listSubject(req.session.subject);
    res.send(page(devices, req.session));
  });

  app.post('/devices/end', requireUser, checkCsrf, async (req, res) => {
    const { id } = req.body;
    if (id === req.session.id) await req.session.destroy();
    // The id comes from the browser: only a session of this user may end.
    else if (!await admin.revokeSession(String(id), { subject: req.session.subject })) {
      res.status(404).send('There is no such device.');
      return;
    }
    res.redirect('/devices');
  });

  app.post('/devices/end-others', requireUser, checkCsrf, async (req, res) => {
    await admin.revokeSubject(req.session.subject, { exceptId: req.session.id });
    res.redirect('/devices');
  });
}

function requireUser(req, res, next) {
  if (req.session.subject === undefined) res.redirect('/');
  else next();
}

// Refuses a form that is none of this page's, as one on another site that logs the user out everywhere.
function checkCsrf(req, res, next) {
  const [shown, expected] = [req.body?.csrf, req.session.csrf].map((text) => Buffer.from(String(text ?? '')));
  const isOwn = expected.length > 0 && shown.length === expected.length && timingSafeEqual(shown, expected);
  if (isOwn) next();
  else res.status(403).send('This form is too old. Load the page again.');
}

const page = (devices, { id, csrf }) => `<!doctype html><title>Your devices</title>
<ul>${devices.map((device) => deviceItem(device, device.id === id, csrf)).join('')}</ul>
${form('/devices/end-others', csrf, '<button>Log out everywhere else</button>')}
`;

const deviceItem = ({ id, userAgent, remoteAddress, accessTime }, isThisOne, csrf) => `
  <li id="${id}">
    ${escapeHtml(userAgent || 'Unknown browser')}, ${escapeHtml(remoteAddress)},
    last used ${accessTime.toISOString().slice(0, 16).replace('T', ' ')} UTC${isThisOne ? ', this one' : ''}
    ${form('/devices/end', csrf, `<button name="id" value="${id}">Log out</button>`)}
  </li>`;

const form = (action, csrf, button) =>
  `<form method="post" action="${action}"><input type="hidden" name="csrf" value="${csrf}">${button}</form>`;
