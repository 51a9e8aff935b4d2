// Runs h2load with the same calls as ghz, by the Connect protocol over HTTP/1.1 with protobuf.
import fs from 'node:fs';
import path from 'node:path';
import { codec } from './client.mjs';
import { output, ROOT } from './service.mjs';

const FOLDER = path.join(ROOT, 'deploy/load');
// h2load repeats one request. So several of them run at once, each with another request.
const PROCESSES = 10;

// Runs the load that ghz has a configuration of, with as many calls at once. Returns the same figures as `ghz`.
export async function h2load(name, service, { seconds }) {
  const config = JSON.parse(fs.readFileSync(path.join(FOLDER, `${name}.json`), 'utf8'));
  const bodies = requestsOf(config, service);
  const connections = Math.ceil(config.concurrency / PROCESSES);
  const runs = Array.from({ length: PROCESSES }, (_, number) =>
    run(service, config.call, bodies[number % bodies.length], { number, connections, seconds }));
  return summary((await Promise.all(runs)).flat(), seconds);
}

// Returns the first requests of a configuration of ghz, encoded.
function requestsOf({ call, data, 'data-file': file }, service) {
  const requests = file ? JSON.parse(fs.readFileSync(path.join(service.folder, file), 'utf8')) : [data];
  const { requestSerialize } = codec(call.split('/')[1]);
  return requests.slice(0, PROCESSES).map((request) => requestSerialize(request));
}

// Runs one h2load, and returns the status and the microseconds of each call.
async function run(service, call, body, { number, connections, seconds }) {
  const [bodyFile, log] = ['body', 'log'].map((kind) => path.join(service.folder, `h2load-${number}.${kind}`));
  fs.writeFileSync(bodyFile, body, { mode: 0o600 });
  fs.rmSync(log, { force: true }); // h2load appends to it.
  const args = ['--h1', '--threads=1', `--clients=${connections}`, `--duration=${seconds}`, `--data=${bodyFile}`,
    '--header=content-type: application/proto', `--log-file=${log}`, `http://${service.address}/${call}`];
  // The timeout ends the load even if the service hangs.
  await output('h2load', args, { timeout: (seconds * 2 + 60) * 1000 });
  const lines = fs.readFileSync(log, 'utf8').split('\n').filter((line) => line !== '');
  return lines.map((line) => line.split('\t').slice(1).map(Number));
}

function summary(calls, seconds) {
  const durations = Float64Array.from(calls, ([, duration]) => duration).sort();
  const percentile = (percent) => durations[Math.floor((durations.length - 1) * percent / 100)] / 1000;
  const failures = new Map();
  for (const [status] of calls) if (status !== 200) failures.set(status, (failures.get(status) ?? 0) + 1);
  return {
    calls: calls.length,
    rate: calls.length / seconds,
    p50: percentile(50),
    p99: percentile(99),
    errors: [...failures.values()].reduce((sum, count) => sum + count, 0),
    errorMessages: [...failures].map(([status, count]) => `${count} times HTTP status ${status}`),
  };
}
