// The HTML pages.
const escapeHtml = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const formButton = (path, label, fields = '') =>
  `<form method="post" action="${path}">${fields}<button>${label}</button></form>`;
const page = (body) => `<!doctype html><title>Cloakroom</title>\n${body}\n`;

export const messagePage = (text) => page(`<p id="who">${text}</p>`);

export const sessionEndedPage = () => page(`<p id="who">This session has ended.</p>${formButton('/logout', 'Start a new session')}`);

export const twoSessionsPage = () =>
  page(`<p id="who">Your browser sent the cookies of two sessions.</p>${formButton('/logout', 'End both')}`);

export const counterPage = ({ name, count }) => page(
  `<p id="who">${name ? `Hello, ${escapeHtml(JSON.parse(name.json))}` : 'not logged in'}</p>
<p>Counter: <output id="count">${count ? count.json : 0}</output></p>
${formButton('/count', 'Count')}
${formButton('/logout', 'Log out')}
${formButton('/login', 'Log in', '<input name="name" required maxlength="64">')}`);
