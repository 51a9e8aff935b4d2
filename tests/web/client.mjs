// An HTTP client without redirects and without a cookie jar, which returns the headers exactly as received.
import http from 'node:http';
import { text } from 'node:stream/consumers';

// `cookies` are the lines of the Cookie header, sent as Latin-1. `form` are fields, or a body in ASCII.
export function send(method, url, { cookies = [], form } = {}) {
  const body = typeof form === 'string' ? form : new URLSearchParams(form ?? {}).toString();
  const headers = ['Host', new URL(url).host, 'Content-Length', String(body.length)];
  if (form) headers.push('Content-Type', 'application/x-www-form-urlencoded');
  for (const line of [cookies].flat()) headers.push('Cookie', line);
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method, headers, agent: false });
    request.once('error', reject).once('response', (response) => {
      text(response).then((page) => resolve(parse(response.statusCode, response.rawHeaders, page)), reject);
    });
    request.end(body);
  });
}

export const get = (url, cookies) => send('GET', url, { cookies });
export const post = (url, options) => send('POST', url, options);

function parse(status, raw, body) {
  const all = (name) => raw.filter((_, i) => i % 2 === 1 && raw[i - 1].toLowerCase() === name);
  return {
    status,
    setCookie: all('set-cookie'),
    vary: all('vary'),
    location: all('location'),
    who: body.match(/<p id="who">(.*?)<\/p>/)?.[1],
    count: body.match(/<output id="count">(.*?)<\/output>/)?.[1],
    csrf: body.match(/<input name="csrf" value="(.*?)">/)?.[1],
  };
}

// Returns the cookie of a response as `name=value`.
export const cookieOf = ({ setCookie: [line] }) => line.split(';')[0];
