// The time that passes, in milliseconds. All deadlines are points of it.
'use strict';

/** @returns {number} */
const now = () => performance.now();

/** Returns the whole milliseconds until a time, for a timer: never less than are left. @param {number} end */
const timeUntil = (end) => Math.max(Math.ceil(end - now()), 0);

module.exports = { now, timeUntil };
