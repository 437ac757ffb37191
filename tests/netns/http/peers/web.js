// A server and a client of Node's http and http2, for HTTP/1.1 and for HTTP/2 with prior knowledge. main.go is the same
// of Go. Node's server speaks one of both at a port: `serve h1|h2 PORT`, `ask h1|h2 URL COUNT`.
"use strict";
const http = require("node:http");
const http2 = require("node:http2");

async function gather(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

// Answers with what it got, /fields with the fields alone, and says how long the body claimed to be. To /chunked the answer's length is unknown.
async function echo(request, answer) {
  const body = await gather(request);
  if (request.url === "/fields") return answer.end(JSON.stringify(Object.entries(request.headers)));
  answer.setHeader("x-length", request.headers["content-length"] ?? "-1");
  if (request.url !== "/chunked") answer.setHeader("content-length", body.length);
  if (body.length > 1) answer.write(body.subarray(0, 1));
  answer.end(body.subarray(body.length > 1 ? 1 : 0));
}

function serve(protocol, port) {
  const server = protocol === "h2" ? http2.createServer(echo) : http.createServer(echo);
  server.listen(Number(port), "0.0.0.0");
}

function askHttp1(url) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const sockets = new Set();
  const exchange = (path, headers, body) =>
    new Promise((resolve, reject) => {
      const request = http.request(url + path, { agent, method: "POST", headers });
      request.on("socket", (socket) => sockets.add(socket));
      request.on("error", reject);
      request.on("response", (answer) => {
        gather(answer).then((received) => resolve([answer.statusCode, answer.headers["x-length"], received]), reject);
      });
      request.write(body.subarray(0, 1)); // twice, so that Node does not add a length of its own
      request.end(body.subarray(1));
    });
  return { exchange, connections: () => sockets.size, close: () => agent.destroy() };
}

function askHttp2(url) {
  const session = http2.connect(url);
  const exchange = async (path, headers, body) => {
    const stream = session.request({ ":method": "POST", ":path": path, ...headers });
    const answered = new Promise((resolve, reject) => stream.on("response", resolve).on("error", reject));
    stream.end(body);
    const head = await answered;
    return [head[":status"], head["x-length"], await gather(stream)];
  };
  return { exchange, connections: () => 1, close: () => session.close() };
}

async function ask(protocol, url, count) {
  const client = protocol === "h2" ? askHttp2(url) : askHttp1(url);
  for (let number = 0; number < Number(count); number += 1) {
    const body = Buffer.alloc(number * 1000 + 1, number);
    const length = number % 2 === 1 ? "-1" : String(body.length);
    const path = ["/", "/chunked"][Math.floor(number / 2) % 2];
    const headers = length === "-1" ? {} : { "content-length": length };
    const [status, told, received] = await client.exchange(path, headers, body);
    if (status !== 200 || !received.equals(body)) throw new Error(`request ${number}: ${status}, ${received.length}`);
    if (told !== length) throw new Error(`request ${number}: the server was told of ${told} bytes, and not ${length}`);
  }
  console.log(JSON.stringify({ answers: Number(count), connections: client.connections() }));
  client.close();
}

const [command, ...rest] = process.argv.slice(2);
if (command === "serve") serve(...rest);
else ask(...rest).catch((error) => {
  console.error(error);
  process.exit(1);
});
