// The app's setting `subject_key`: where the entries of a session have its subject.
'use strict';

/**
 * The subject that changes of entries give: '' if they remove it, undefined if they leave it as it is. The subject key
 * names the entry that has it, or a path to it inside of an entry, such as `passport.user`.
 * @param {(name: string) => string | undefined} textOf Returns the JSON text that an entry gets, '' if it is removed or
 *   gets bytes, undefined if it stays.
 * @param {string} subjectKey @returns {string | undefined}
 */
function subjectChange(textOf, subjectKey) {
  for (const name of entriesOf(subjectKey)) {
    const text = textOf(name);
    if (text !== undefined) return idIn(valueAt(text, subjectKey.slice(name.length + 1)));
  }
  return undefined;
}

/** The names of the entries that may have the subject. @param {string} subjectKey */
function entriesOf(subjectKey) {
  const names = [];
  for (let end = subjectKey.length; end > 0; end = subjectKey.lastIndexOf('.', end - 1)) names.push(subjectKey.slice(0, end));
  return names;
}

/** @param {string} json @param {string} path @returns {unknown} */
function valueAt(json, path) {
  if (json === '') return undefined;
  let value = JSON.parse(json);
  if (path === '') return value;
  for (const step of path.split('.')) value = hasMember(value, step) ? value[step] : undefined;
  return value;
}

/** @param {unknown} value @param {string} step */
const hasMember = (value, step) =>
  typeof value === 'object' && value !== null && Object.prototype.propertyIsEnumerable.call(value, step);

/** Returns the id that a value of an entry stands for, '' for none. @param {unknown} value */
function idIn(value) {
  if (typeof value === 'string') return value;
  return Number.isInteger(value) ? String(value) : '';
}

module.exports = { entriesOf, subjectChange };
