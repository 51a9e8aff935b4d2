// The app's setting `subject_key`: where the entries of a session have its subject.
'use strict';

/**
 * Whether changes of entries set the subject. The subject key names the entry that has it, or a path to it inside of an
 * entry, such as `passport.user`.
 * @param {{ set: Map<string, { json?: string }> }} changes @param {string} subjectKey
 */
function setsSubject({ set }, subjectKey) {
  for (let end = subjectKey.length; end > 0; end = subjectKey.lastIndexOf('.', end - 1)) {
    const entry = set.get(subjectKey.slice(0, end));
    if (entry !== undefined) return isSubject(valueAt(entry.json, subjectKey.slice(end + 1)));
  }
  return false;
}

/** @param {string | undefined} json @param {string} path @returns {unknown} */
function valueAt(json, path) {
  if (json === undefined) return undefined;
  let value = JSON.parse(json);
  if (path === '') return value;
  for (const step of path.split('.')) value = hasMember(value, step) ? value[step] : undefined;
  return value;
}

/** @param {unknown} value @param {string} step */
const hasMember = (value, step) =>
  typeof value === 'object' && value !== null && Object.prototype.propertyIsEnumerable.call(value, step);

/** @param {unknown} value */
const isSubject = (value) => (typeof value === 'string' ? value !== '' : Number.isInteger(value));

module.exports = { setsSubject };
