// Calls the service by gRPC, with the packages of the Node example.
import { createRequire } from 'node:module';
import path from 'node:path';
import { ROOT } from './service.mjs';

const require = createRequire(path.join(ROOT, 'examples/node/package.json'));

// Returns a function that calls the service by a method's name. The connection closes with the process.
export function client({ address }) {
  const grpc = require('@grpc/grpc-js');
  const { SessionService } = loadContract(grpc);
  const stub = new SessionService(address, grpc.credentials.createInsecure());
  return (method, request) => new Promise((resolve, reject) => {
    stub[method](request, { deadline: Date.now() + 30_000 }, (error, response) => (error ? reject(error) : resolve(response)));
  });
}

// Returns a method's definition, with `requestSerialize` and `responseSerialize`.
export const codec = (method) => loadContract(require('@grpc/grpc-js')).SessionService.service[method];

function loadContract(grpc) {
  const loader = require('@grpc/proto-loader');
  const options = { keepCase: true, longs: String, enums: String, oneofs: false, includeDirs: [path.join(ROOT, 'proto')] };
  const definition = loader.loadSync('cloakroom/v1/session_service.proto', options);
  return grpc.loadPackageDefinition(definition).cloakroom.v1;
}
