// Node's http as an application that tells, in the field `x-read` of each answer, what it has read: `node teller.js PORT`.
// teller.py is the same of Python, and main.go of Go.
"use strict";
const http = require("node:http");

const STATUS = { "/none": 204, "/same": 304 };

function told(request, body) {
  const fields = [];
  for (let at = 0; at < request.rawHeaders.length; at += 2) fields.push(request.rawHeaders.slice(at, at + 2));
  const read = { method: request.method, target: request.url, fields, body: body?.toString("latin1") ?? null };
  return Buffer.from(JSON.stringify(read)).toString("base64");
}

async function tell(request, answer) {
  if (request.url === "/early") {
    answer.writeHead(413, { "x-read": told(request), "content-length": 2 }).end("no");
    return;
  }
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  answer.writeHead(STATUS[request.url] ?? 200, { "x-read": told(request, Buffer.concat(chunks)), "content-length": 2 });
  answer.end("ok");
}

// Returns what comes, until a canary has come, or the end.
function tunnel(socket, begun) {
  const echo = (data) => (data.includes("/canary") ? socket.end(data) : socket.write(data));
  if (begun.length > 0) echo(begun);
  socket.on("data", echo);
  socket.on("end", () => socket.end());
}

function switched(request, socket, begun) {
  socket.on("error", () => socket.destroy());
  if (request.url === "/switch") {
    const word = `connection: Upgrade\r\nupgrade: ${request.headers.upgrade}`;
    socket.write(`HTTP/1.1 101 Switching\r\n${word}\r\nx-read: ${told(request)}\r\n\r\n`);
    tunnel(socket, begun);
  } else {
    socket.end(`HTTP/1.1 426 Upgrade Required\r\nconnection: close\r\ncontent-length: 0\r\nx-read: ${told(request)}\r\n\r\n`);
  }
}

function connected(request, socket, begun) {
  socket.on("error", () => socket.destroy());
  socket.write(`HTTP/1.1 200 Connected\r\nx-read: ${told(request)}\r\n\r\n`);
  tunnel(socket, begun);
}

const server = http.createServer((request, answer) => tell(request, answer).catch(() => answer.destroy()));
server.on("upgrade", switched);
server.on("connect", connected);
// Who expects to go on is refused early, too.
server.on("checkContinue", (request, answer) => {
  if (request.url !== "/early") answer.writeContinue();
  tell(request, answer).catch(() => answer.destroy());
});
server.keepAliveTimeout = 600_000;
server.listen(Number(process.argv[2]), "0.0.0.0");
