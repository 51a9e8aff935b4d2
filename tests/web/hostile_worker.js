// A service worker of a hostile page. It fetches an address that the page sends it, and sends back what it read.
self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('message', ({ data: url, ports: [port] }) => {
  fetch(url, { method: 'POST', body: new Blob(['{}'], { type: 'application/json' }) })
    .then(async (response) => port.postMessage(`${response.status} ${await response.text()}`))
    .catch(() => port.postMessage(''));
});
