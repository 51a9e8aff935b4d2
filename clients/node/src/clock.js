// The time that passes, in milliseconds. All deadlines are points of it.
'use strict';

/** @returns {number} */
const now = () => performance.now();

module.exports = { now };
