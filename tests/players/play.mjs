// Plays a title in headless Chromium with one player and prints what it saw as JSON.
//
//   node play.mjs MODULES PLAYER FOLDER FILE PLAN
//
// MODULES is the folder of the npm packages, PLAYER one of hls.js, shaka and dash.js, FILE a playlist or MPD in FOLDER,
// which is served with byte ranges. PLAN is JSON: `seeks` in seconds, `screenshot` (a path), `clear_keys` ({ key id: key },
// in hexadecimal), `watch` (its whole duration in seconds: a title that is still made is watched from its beginning, which
// is told in a line of its own, and to its end). Whatever takes too long ends in an error that says what did not happen.

import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, normalize } from 'node:path';

const [modules, player, folder, file, text] = process.argv.slice(2);
const plan = JSON.parse(text);
const { chromium } = createRequire(join(modules, 'package.json'))('playwright-core');

const SCRIPTS = {
  'hls.js': 'hls.js/dist/hls.js',
  shaka: 'shaka-player/dist/shaka-player.compiled.js',
  'dash.js': 'dashjs/dist/modern/umd/dash.all.debug.js',
};
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required',
];

const page = `<!doctype html><link rel="icon" href="data:,"><video id="video" muted playsinline width="640" height="360"></video>
<script src="/player.js"></script><script src="/driver.js"></script>`;
const files = {
  '/': ['text/html', page],
  '/player.js': ['text/javascript', await readFile(join(modules, 'node_modules', SCRIPTS[player]))],
  '/driver.js': ['text/javascript', await readFile(new URL('driver.js', import.meta.url))],
};

/** Answers with a file of the title, or the range of it that is asked for. */
async function serveTitle(path, range, response) {
  const body = await readFile(join(folder, normalize(path))).catch(() => null);
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? [];
  if (!body) {
    response.writeHead(404).end();
  } else if (first === undefined) {
    response.writeHead(200).end(body);
  } else {
    const [start, end] = [Number(first), Math.min(last ? Number(last) : Infinity, body.length - 1)];
    response.writeHead(206, { 'content-range': `bytes ${start}-${end}/${body.length}` });
    response.end(body.subarray(start, end + 1));
  }
}

const server = createServer((request, response) => {
  const path = decodeURIComponent(request.url.split('?')[0]);
  if (path.startsWith('/title/')) return serveTitle(path.slice('/title/'.length), request.headers.range, response);
  const [type, body] = files[path] ?? ['text/plain', ''];
  response.writeHead(path in files ? 200 : 404, { 'content-type': type }).end(body);
});
await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));

const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', headless: true, args: FLAGS });
let status = 0;
try {
  const tab = await browser.newPage();
  const said = [];
  tab.on('pageerror', error => said.push(String(error)));
  tab.on('console', message => message.type() === 'error' && said.push(message.text()));
  await tab.goto(`http://127.0.0.1:${server.address().port}/`);
  await tab.exposeFunction('tell', line => console.log(JSON.stringify(line)));
  const saw = await tab.evaluate(([player, url, plan]) => plan.watch ? watch(player, url, plan, tell) : play(player, url, plan),
    [player, `/title/${file}`, plan]);
  if (plan.screenshot) await tab.locator('#video').screenshot({ path: plan.screenshot });
  console.log(JSON.stringify({ ...saw, console: said }));
} catch (error) {
  console.error(String(error));
  status = 1;
} finally {
  await browser.close();
  server.close();
}
process.exit(status);
