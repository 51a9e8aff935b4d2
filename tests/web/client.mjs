// An HTTP client that hides nothing: no redirects, no cookie jar, headers as they stood on the wire.
import http from 'node:http';
import { text } from 'node:stream/consumers';

// `cookies` are the lines of the Cookie header, in Latin-1: their characters go out byte by byte.
export function send(method, url, { cookies = [], form } = {}) {
  const body = form ? new URLSearchParams(form).toString() : '';
  const headers = ['Host', new URL(url).host, 'Content-Length', String(body.length)];
  if (form) headers.push('Content-Type', 'application/x-www-form-urlencoded');
  for (const line of [cookies].flat()) headers.push('Cookie', line);
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method, headers, agent: false });
    request.once('error', reject).once('response', (response) => {
      text(response).then((page) => resolve(read(response.statusCode, response.rawHeaders, page)), reject);
    });
    request.end(body);
  });
}

export const get = (url, cookies) => send('GET', url, { cookies });
export const post = (url, options) => send('POST', url, options);

function read(status, raw, body) {
  const all = (name) => raw.filter((_, i) => i % 2 === 1 && raw[i - 1].toLowerCase() === name);
  return {
    status,
    setCookie: all('set-cookie'),
    vary: all('vary'),
    location: all('location'),
    who: body.match(/<p id="who">(.*?)<\/p>/)?.[1],
    count: body.match(/<output id="count">(.*?)<\/output>/)?.[1],
  };
}

// The pair that a browser would send back.
export const cookieOf = ({ setCookie: [line] }) => line.split(';')[0];
