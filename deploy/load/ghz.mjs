// Runs ghz by the configurations beside this file.
import path from 'node:path';
import { output, ROOT } from './service.mjs';

const GHZ = path.join(ROOT, '.tools/bin/ghz');
const FOLDER = path.join(ROOT, 'deploy/load');

// One run: calls, calls a second, milliseconds and errors. `rate` caps the calls a second.
export async function ghz(name, service, { seconds, rate }) {
  const args = ['--config', path.join(FOLDER, `${name}.json`), '--duration', `${seconds}s`, '--format', 'json'];
  if (rate) args.push('--rps', `${Math.max(1, Math.round(rate))}`);
  // Twice the time and some: a service that hangs ends the load all the same.
  const options = { cwd: service.folder, timeout: (seconds * 2 + 60) * 1000 };
  return read(JSON.parse(await output(GHZ, [...args, service.address], options)));
}

function read(report) {
  const latency = (percent) =>
    (report.latencyDistribution ?? []).find(({ percentage }) => percentage === percent)?.latency / 1e6;
  const { OK: good = 0 } = report.statusCodeDistribution ?? {};
  return {
    calls: report.count,
    rate: report.rps,
    p50: latency(50),
    p99: latency(99),
    errors: report.count - good,
    why: Object.entries(report.errorDistribution ?? {}).map(([error, count]) => `${count} times ${error}`),
  };
}
