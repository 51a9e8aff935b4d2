// Adds the kit's route to the application of `examples/express`. Node loads this before it.
import express from '../../node/node_modules/express/index.js';
import { addOperations } from './express_routes.mjs';

const { listen } = express.application;

express.application.listen = function listenWithOperations(...args) {
  addOperations(this, { lazy: false });
  return listen.apply(this, args);
};
