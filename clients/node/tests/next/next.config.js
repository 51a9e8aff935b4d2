export default {
  // One copy of the client for all parts of the application, and so one pool of connections.
  serverExternalPackages: ['cloakroom-sessions'],
  // There is another lock file above.
  turbopack: { root: import.meta.dirname },
};
