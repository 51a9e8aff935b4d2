// One request by FastCGI 1.0, as a web server makes it of php-fpm.
import { once } from 'node:events';
import net from 'node:net';

const [BEGIN, END, PARAMS, STDIN, STDOUT] = [1, 3, 4, 5, 6];
const RESPONDER = Buffer.from([0, 1, 0, 0, 0, 0, 0, 0]);

// Runs a script on the server behind a Unix socket, and returns status, headers and body.
export async function requestByFastCgi(socketPath, script, query, headers) {
  const names = {
    GATEWAY_INTERFACE: 'CGI/1.1', REQUEST_METHOD: 'GET', SCRIPT_FILENAME: script, QUERY_STRING: query,
    REQUEST_URI: `/?${query}`, SERVER_PROTOCOL: 'HTTP/1.1', REMOTE_ADDR: '127.0.0.1',
  };
  for (const [name, value] of Object.entries(headers)) names[`HTTP_${name.toUpperCase().replaceAll('-', '_')}`] = value;
  const socket = net.connect(socketPath);
  await once(socket, 'connect');
  const params = Buffer.concat(Object.entries(names).map(([name, value]) => pair(name, value)));
  socket.write(Buffer.concat([
    record(BEGIN, RESPONDER), record(PARAMS, params), record(PARAMS, Buffer.alloc(0)), record(STDIN, Buffer.alloc(0)),
  ]));
  const chunks = [];
  for await (const chunk of socket) chunks.push(chunk);
  return response(records(Buffer.concat(chunks)));
}

function record(type, content) {
  const head = Buffer.from([1, type, 0, 1, content.length >> 8, content.length & 255, 0, 0]);
  return Buffer.concat([head, content]);
}

function pair(name, value) {
  const lengths = [name, value].map((text) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE((Buffer.byteLength(text) | 0x80000000) >>> 0);
    return length;
  });
  return Buffer.concat([...lengths, Buffer.from(name), Buffer.from(value)]);
}

// Returns what the script has printed.
function records(bytes) {
  const printed = [];
  let ended = false;
  for (let at = 0; at + 8 <= bytes.length;) {
    const [type, length, padding] = [bytes[at + 1], bytes.readUInt16BE(at + 4), bytes[at + 6]];
    if (type === STDOUT) printed.push(bytes.subarray(at + 8, at + 8 + length));
    ended ||= type === END;
    at += 8 + length + padding;
  }
  if (!ended) throw new Error('php-fpm has closed the connection before the end');
  return Buffer.concat(printed).toString();
}

function response(text) {
  const [head, ...rest] = text.split('\r\n\r\n');
  const headers = new Headers();
  for (const line of head.split('\r\n')) headers.append(line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim());
  const status = Number.parseInt(headers.get('status') ?? '200', 10);
  return { status, headers, body: rest.join('\r\n\r\n') };
}
