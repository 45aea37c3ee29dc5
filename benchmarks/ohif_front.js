// In front of both servers alike: OHIF's files, and /dicom-web handed on to one of them.
// node ohif_front.js VIEWER-FOLDER DICOMWEB-PORT PORT
"use strict";

const fs = require("fs");
const http = require("http");
const path = require("path");

const [folder, upstream, port] = process.argv.slice(2);
const TYPES = { ".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".wasm": "application/wasm" };
const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });

function handOn(request, response) {
  const headers = { ...request.headers, host: `127.0.0.1:${upstream}` };
  const asked = { host: "127.0.0.1", port: upstream, path: request.url, method: request.method, headers, agent };
  const onward = http.request(asked, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  onward.on("error", () => response.destroy());
  request.pipe(onward);
}

function serve(request, response) {
  const name = decodeURIComponent(new URL(request.url, "http://x").pathname).replace(/^\/ohif\//, "");
  const wanted = path.join(folder, path.normalize(name));
  const isFile = wanted.startsWith(folder + path.sep) && fs.existsSync(wanted) && fs.statSync(wanted).isFile();
  if (!isFile && path.extname(name)) return response.writeHead(404).end();
  const file = isFile ? wanted : path.join(folder, "index.html");
  const headers = { "content-type": TYPES[path.extname(file)] || "application/octet-stream" };
  const isPacked = fs.existsSync(`${file}.gz`);
  if (isPacked) headers["content-encoding"] = "gzip";
  response.writeHead(200, headers);
  fs.createReadStream(isPacked ? `${file}.gz` : file).pipe(response);
}

http
  .createServer((request, response) =>
    request.url.startsWith("/ohif/") ? serve(request, response) : handOn(request, response),
  )
  .listen(Number(port), "127.0.0.1");
