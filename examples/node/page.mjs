// What the user sees.
const escape = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const button = (path, label, fields = '') =>
  `<form method="post" action="${path}">${fields}<button>${label}</button></form>`;
const page = (body) => `<!doctype html><title>Cloakroom</title>\n${body}\n`;

export const message = (text) => page(`<p id="who">${text}</p>`);

export const ended = () => page(`<p id="who">This session has ended.</p>${button('/logout', 'Start afresh')}`);

export const view = ({ name, count }) => page(
  `<p id="who">${name ? `Hello, ${escape(JSON.parse(name.json))}` : 'not logged in'}</p>
<p>Counter: <output id="count">${count ? count.json : 0}</output></p>
${button('/count', 'Count')}
${button('/logout', 'Log out')}
${button('/login', 'Log in', '<input name="name" required maxlength="64">')}`);
