// Elements, times and dialogs. Texts go into the page as text only, never as HTML.

// Creates an element. A property is set; a name with a hyphen and `role` become attributes; `on…` listens.
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name.includes('-') || name === 'role') element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.flat(Infinity).filter((child) => ![null, undefined, false, ''].includes(child)));
  return element;
}

// A table whose rows become cards on a narrow screen.
export function table(titles, rows) {
  const head = el('thead', {}, el('tr', {}, titles.map((title) => el('th', { scope: 'col' }, title))));
  return el('table', {}, head, el('tbody', {}, rows.map((cells) => tableRow(titles, cells))));
}

export function tableRow(titles, cells) {
  return el('tr', {}, cells.map((cell, column) => el('td', { 'data-label': titles[column] }, el('span', {}, cell))));
}

// A list of names and values, without those that are empty.
export function facts(pairs) {
  const there = pairs.filter(([, value]) => value !== undefined && value !== null && value !== '');
  return el('dl', {}, there.map(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]));
}

// A time as the distance from now. The exact time is its tooltip.
export function time(text) {
  if (!text) return '';
  return el('time', { dateTime: text, title: new Date(text).toString() }, distance(Date.parse(text) - Date.now()));
}

const UNITS = [['year', 365 * 86_400], ['day', 86_400], ['hour', 3_600], ['minute', 60], ['second', 1]];

function distance(ms) {
  const seconds = Math.round(ms / 1000);
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? ['second', 1];
  return new Intl.RelativeTimeFormat('en', { numeric: 'auto' }).format(Math.trunc(seconds / size), unit);
}

// A duration of protobuf's JSON, such as `2678400s`.
export function duration(text) {
  const seconds = Number.parseFloat(text ?? '0');
  const [unit, size] = UNITS.find(([, size]) => seconds >= size && seconds % size === 0) ?? ['second', 1];
  const count = seconds / size;
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}

export const count = (number = 0, one, many) => `${number} ${number === 1 ? one : many}`;

// `END_REASON_IDLE` as `idle`.
export const word = (name, prefix) => (name ?? '').replace(prefix, '').toLowerCase().replaceAll('_', ' ');

export const note = (text, kind = '') => el('p', { className: `note ${kind}`, role: kind === 'bad' ? 'alert' : 'status' }, text);

// Asks before something ends. `typed` is what the user has to type first. Resolves to whether the user agreed.
export function confirm(text, action, typed) {
  const dialog = document.getElementById('dialog');
  const agree = el('button', { className: 'danger', value: 'yes', disabled: Boolean(typed) }, action);
  const oninput = (event) => { agree.disabled = event.target.value !== typed; };
  const field = typed && el('label', {}, `Type ${typed} to go on`, el('input', { oninput, autocomplete: 'off', spellcheck: false }));
  const buttons = el('div', { className: 'row' }, el('button', { value: 'no', autofocus: !typed }, 'Cancel'), agree);
  dialog.returnValue = 'no';
  dialog.replaceChildren(el('form', { method: 'dialog' }, el('p', {}, text), field, buttons));
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true });
  });
}
