// The subject: the id of the user to whom a session belongs.
'use strict';

/**
 * Returns an id as the service writes one, or undefined for none. Throws TypeError for what is no id.
 * @param {unknown} id @param {string} explanation Of an id, for the error.
 */
function subjectOf(id, explanation) {
  if (id === undefined || id === null) return undefined;
  if (typeof id === 'string') return id;
  if (typeof id === 'bigint' || Number.isSafeInteger(id)) return String(id);
  throw new TypeError(explanation);
}

module.exports = { subjectOf };
