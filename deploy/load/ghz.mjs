// Runs ghz with the configurations in this folder.
import path from 'node:path';
import { output, ROOT } from './service.mjs';

const GHZ = path.join(ROOT, '.tools/bin/ghz');
const FOLDER = path.join(ROOT, 'deploy/load');

// Runs one load, and returns the calls, calls per second, milliseconds and errors. `rate` limits the calls per second.
export async function ghz(name, service, { seconds, rate }) {
  const args = ['--config', path.join(FOLDER, `${name}.json`), '--duration', `${seconds}s`, '--format', 'json'];
  if (rate) args.push('--rps', `${Math.max(1, Math.round(rate))}`);
  // The timeout ends the load even if the service hangs.
  const options = { cwd: service.folder, timeout: (seconds * 2 + 60) * 1000 };
  return parse(JSON.parse(await output(GHZ, [...args, service.address], options)));
}

function parse(report) {
  const latency = (percent) =>
    (report.latencyDistribution ?? []).find(({ percentage }) => percentage === percent)?.latency / 1e6;
  const { OK: succeeded = 0 } = report.statusCodeDistribution ?? {};
  return {
    calls: report.count,
    rate: report.rps,
    p50: latency(50),
    p99: latency(99),
    errors: report.count - succeeded,
    errorMessages: Object.entries(report.errorDistribution ?? {}).map(([error, count]) => `${count} times ${error}`),
  };
}
