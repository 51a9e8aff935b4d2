// The third part: the stores alone, without calls.
import fs from 'node:fs';
import path from 'node:path';
import { temporaryFolder } from '../deploy/load/service.mjs';
import { median } from './median.mjs';
import { run } from './rust.mjs';
import { MEMORY_SESSIONS, ROUNDS, SECONDS } from './settings.mjs';

const BYTES = 1024;
const SESSIONS = 2000;

export async function stores() {
  const one = [];
  const many = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    console.error(`writers, round ${round + 1} of ${ROUNDS}`);
    one.push(await writers(1));
    many.push(await writers(100));
  }
  console.error('memory');
  const memory = await run('memory', { sessions: MEMORY_SESSIONS, bytes: BYTES });
  return { one: median(one), many: median(many), memory };
}

async function writers(count) {
  const folder = temporaryFolder('writers');
  try {
    const options = { path: path.join(folder, 'data'), sessions: SESSIONS, bytes: BYTES, writers: count, seconds: SECONDS };
    return (await run('embedded-saves', options)).rate;
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

export const storeLines = ({ one, many, memory }) => [
  `embedded: ${one.toFixed(0)} acknowledged saves/s with one writer, ${many.toFixed(0)} with 100`,
  `memory: ${memory.each.toFixed(0)} bytes a session at ${memory.sessions} sessions of ${memory.encoded} bytes encoded`,
].join('\n');
