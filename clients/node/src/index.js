// A session without a framework: the client, a request's session, the transport and the errors.
'use strict';

const { Client } = require('./client.js');
const { ConnectTransport } = require('./connect/transport.js');
const { CallFailed, CloakroomError, SessionNotOpened, SessionRefused, SessionUnavailable } = require('./errors.js');
const { Session } = require('./session.js');

module.exports = {
  CallFailed, Client, CloakroomError, ConnectTransport, Session, SessionNotOpened, SessionRefused, SessionUnavailable,
};
