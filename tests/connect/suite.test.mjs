// Runs Connect's conformance suite against the server. A known failure has to fail in the way that is known.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { KNOWN_FAILURES } from './known_failures.mjs';

const SERVER = process.env.CLOAKROOM_CONFORMANCE_BIN ?? 'target/debug/cloakroom-connect-conformance';

// Runs the suite, and returns its exit code and what it printed.
const run = () => {
  const known = KNOWN_FAILURES.flatMap(({ cases, isFlaky }) => cases.flatMap((name) => [isFlaky ? '--known-flaky' : '--known-failing', name]));
  const args = ['--mode', 'server', '--conf', 'tests/connect/suite.yaml', ...known, '--', SERVER];
  const options = { timeout: 300_000, maxBuffer: 64 * 1024 * 1024 };
  return new Promise((resolve) => {
    execFile('connectconformance', args, options, (error, stdout, stderr) => resolve({ code: error?.code ?? error?.signal ?? 0, printed: stdout + stderr }));
  });
};

// What the suite prints of a case that failed as expected.
const KNOWN = /^INFO: (?<name>.*) failed \(as expected\):\n(?<lines>(?:\t.*\n)*)/gm;

// Returns the cases that failed as expected, with the lines that say why.
const knownFailures = (printed) => {
  return [...printed.matchAll(KNOWN)].map(({ groups }) => ({ name: groups.name, lines: groups.lines.trim().split('\n').map((line) => line.trim()) }));
};

// Whether a pattern of the suite matches the name of a case: * is one component, and ** any number of them.
const matches = (pattern, name) => {
  const component = (part) => ({ '*': '[^/]*/', '**': '(?:[^/]*/)*' })[part] ?? `${part.replace(/[.()]/g, '\\$&')}/`;
  return new RegExp(`^${pattern.split('/').map(component).join('')}$`).test(`${name}/`);
};

test('the server conforms to Connect and to gRPC, apart from what is known', async (t) => {
  const { code, printed } = await run();

  t.diagnostic(/Total cases: \d+\n.*(?:\n\(.*\))?/.exec(printed)?.[0].replaceAll('\n', ', ') ?? 'the suite did not end');
  assert.equal(code, 0, printed.replace(KNOWN, ''));
  for (const { name, lines } of knownFailures(printed)) {
    const says = KNOWN_FAILURES.filter(({ cases }) => cases.some((pattern) => matches(pattern, name))).flatMap((known) => known.says);
    for (const line of lines) assert.ok(says.some((expected) => expected.test(line)), `${name}: ${line}`);
  }
});
