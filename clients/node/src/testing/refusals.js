// The errors that the service answers.
'use strict';

const { CallFailed } = require('../errors.js');

/** @param {string} reason @param {string} message */
const invalid = (reason, message) => new CallFailed('INVALID_ARGUMENT', reason, message);

/** @param {string} reason @param {string} message */
const refused = (reason, message) => new CallFailed('FAILED_PRECONDITION', reason, message);

/** @param {string} reason @param {string} message */
const aborted = (reason, message) => new CallFailed('ABORTED', reason, message);

const permanentInvalid = () => invalid('VALUE_INVALID', 'the entry `_permanent` is true or false');

const subjectInvalid = () => invalid('SUBJECT_INVALID', 'a subject is a string or an integer of 1 to 256 bytes');

/** @param {string} name */
const repeatedEntry = (name) =>
  invalid('ENTRY_REPEATED', `"${name}" is in two of unset, set and increment, or contradicts its field`);

const deadlinePassed = () => invalid('LIFETIME_INVALID', 'changes.deadline_time is not in the future');

const etagMismatch = () => aborted('ETAG_MISMATCH', 'the session has another etag by now; open it again and decide anew');

const AMBIGUOUS = 'The request\'s cookies name two live sessions, so one of them may have been planted. If the cookie\'s '
  + 'path or domain was changed, rename the cookie as well.';

module.exports = {
  AMBIGUOUS, aborted, deadlinePassed, etagMismatch, invalid, permanentInvalid, refused, repeatedEntry, subjectInvalid,
};
