// `req.session` of `clients/node`, in Express. With KIT_LAZY it is opened at its first use.
import express from '../../node/node_modules/express/index.js';
import client from '../../node/src/express.js';
import { addOperations } from './express_routes.mjs';
import { LAZY, OPTIONS } from './operations.mjs';

const app = express();
app.use(client.sessions({ ...OPTIONS, onGone: (reason, request, response) => { response.status(409); } }));
addOperations(app, { lazy: LAZY });

const server = app.listen(process.env.PORT, '127.0.0.1');
server.on('error', (error) => { throw error; });
