#!/usr/bin/env node
// Takes the place of systemctl: prints the unit and its drop-in, and runs the one command of a unit.
//
// Not systemd's rules as a whole: values have no quotes, the only specifier is %d, and the user stays the same.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const ROOT = process.env.TEST_ROOT;
const [command, unit] = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
const read = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');

if (command === 'cat') process.stdout.write(`${read('cloakroom.service')}\n# drop-in.conf\n${read('drop-in.conf')}`);
if (command === 'start') process.exitCode = start(read(`run/systemd/system/${unit}`));

function start(text) {
  const values = (name) => {
    const all = [...text.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value]) => value);
    // An empty value takes back those before it.
    return all.slice(all.lastIndexOf('') + 1);
  };
  const credentials = path.join(ROOT, 'run/credentials', unit);
  fs.mkdirSync(credentials, { recursive: true });
  for (const credential of values('LoadCredential')) {
    const [id, file] = credential.split(':');
    fs.copyFileSync(file, path.join(credentials, id));
  }
  const env = Object.fromEntries(values('Environment').map((one) => one.replace('%d', credentials).split('=')));
  const commands = [...new Set(text.match(/^Exec\w+(?==)/gm))].flatMap(values);
  if (commands.length !== 1 || values('Type').at(-1) !== 'oneshot') throw new Error(`not a single command: ${commands}`);
  const [program, ...args] = commands[0].split(' ');
  const errors = fs.openSync(values('StandardError').at(-1).replace('truncate:', ''), 'w');
  return spawnSync(program, args, { cwd: values('WorkingDirectory').at(-1), env, stdio: ['ignore', 'ignore', errors] }).status;
}
