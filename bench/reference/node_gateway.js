// The gateway of the seed's picture, in Node.js: node:http with a keep-alive agent, one process.
// Frozen: bench/gateways.py compares ours with it. Use: node node_gateway.js PORT UPSTREAM_PORT
'use strict';
const http = require('node:http');

const [port, upstreamPort] = process.argv.slice(2).map(Number);
const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });

const server = http.createServer((request, response) => {
  if (!request.url.startsWith('/api/')) {
    response.writeHead(404, { 'content-type': 'application/json' });
    response.end('{"error":"not_found"}');
    return;
  }
  const upstream = http.request(
    {
      agent,
      host: '127.0.0.1',
      port: upstreamPort,
      method: request.method,
      path: request.url.slice('/api'.length),
      headers: { ...request.headers, host: 'product-service' },
    },
    (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    },
  );
  upstream.on('error', () => {
    if (!response.headersSent) {
      response.writeHead(502, { 'content-type': 'application/json' });
    }
    response.end('{"error":"upstream_failed"}');
  });
  request.pipe(upstream);
});

server.listen(port, '127.0.0.1', 1024);
