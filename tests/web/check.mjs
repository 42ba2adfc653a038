// Goes through the pages of a farm, or a report, in headless Chromium and prints what it read as JSON.
//
//   node check.mjs MODULES PLAN
//
// MODULES is the folder of the npm packages. PLAN is JSON: `pages` (addresses: each is opened, waited for and read), `title` (the
// address of a job whose title is played to its end) and `screenshots` (a folder, absent for none). A page is read as its title, its
// headings, its figures, facts and alerts, and its tables. `console` has whatever the browser complained of. Whatever takes too long
// ends in an error that says what did not happen.

import { createRequire } from 'node:module';
import { join } from 'node:path';

const [modules, text] = process.argv.slice(2);
const plan = JSON.parse(text);
const { chromium } = createRequire(join(modules, 'package.json'))('playwright-core');

const DEADLINE_MS = 120_000;
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required',
];
/** What everybody and what a phone sees, by day and by night. */
const VIEWS = [
  { name: 'light', colorScheme: 'light', viewport: { width: 1280, height: 800 } },
  { name: 'dark', colorScheme: 'dark', viewport: { width: 1280, height: 800 } },
  { name: 'phone', colorScheme: 'light', viewport: { width: 390, height: 844 } },
];

/** Everything that a page says; runs in the browser. */
function read() {
  const texts = (selector, root = document) => [...root.querySelectorAll(selector)].filter(one => one.checkVisibility()).map(one => one.textContent.trim());
  const pairs = selector => Object.fromEntries([...document.querySelectorAll(selector)].map(one => [one.textContent, one.nextElementSibling.textContent.trim()]));
  const table = one => ({ heads: texts('thead th', one), rows: [...one.querySelectorAll('tbody tr')].map(row => texts('td', row)) });
  return {
    title: document.title, headings: texts('h1, h2'), figures: pairs('.figure dt'), facts: pairs('.facts dt'), alerts: texts('.alerts li'),
    checks: texts('.checks li'), legends: texts('.legend > span'), tables: [...document.querySelectorAll('table')].filter(one => one.checkVisibility()).map(table),
    curves: document.querySelectorAll('polyline.curve').length, bars: document.querySelectorAll('.timeline .drawing rect').length,
    images: document.querySelectorAll('img').length, overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth, text: document.body.innerText,
  };
}

const watched = (page, said) => {
  page.setDefaultTimeout(DEADLINE_MS);
  page.on('pageerror', error => said.push(String(error)));
  page.on('console', message => ['error', 'warning'].includes(message.type()) && said.push(message.text()));
  page.on('dialog', dialog => {
    said.push(`a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
};

/** Opens a page and waits until it has something to say. */
async function open(page, address) {
  await page.goto(address);
  await page.waitForFunction(() => {
    const link = document.getElementById('link');
    if (!link) return document.querySelector('main section');
    const isShown = [...document.querySelectorAll('main section, main table, main .bad:not(:empty)')].some(one => one.checkVisibility());
    return link.textContent.endsWith('UTC') && isShown && !document.querySelector('#title:empty');
  });
}

async function readAll(browser, addresses, said) {
  const pages = [];
  for (const [number, address] of addresses.entries()) {
    for (const { name, ...view } of VIEWS) {
      const page = await browser.newPage(view);
      watched(page, said);
      await open(page, address);
      const seen = await page.evaluate(read);
      if (plan.screenshots) await page.screenshot({ path: join(plan.screenshots, `${number}-${name}.png`), fullPage: true });
      if (name === VIEWS[0].name) pages.push(seen);
      else pages[number].overflow = Math.max(pages[number].overflow, seen.overflow);
      await page.close();
    }
  }
  return pages;
}

/** Plays a title: each rendition, a seek by the plot, a frame and a join further, each sound, and the end. */
async function play(browser, address, said) {
  const page = await browser.newPage({ viewport: VIEWS[0].viewport });
  watched(page, said);
  await open(page, address);
  await page.waitForSelector('.player, #title:not(:empty)');
  const saw = { refused: '', renditions: [] };
  const settled = () => page.waitForFunction(() => {
    const video = document.querySelector('video');
    return document.querySelector('.player .bad').textContent || (video.readyState >= 2 && !video.seeking);
  });
  await settled();
  saw.refused = await page.textContent('.player .bad');
  if (saw.refused) return saw;
  const video = of => page.evaluate(of => document.querySelector('video')[of], of);
  const picker = number => page.locator('.pickers select').nth(number);
  for (const name of await picker(0).locator('option').allTextContents()) {
    await picker(0).selectOption(name);
    const height = parseInt(name, 10);
    await page.waitForFunction(height => !(height > 0) || document.querySelector('video').videoHeight === height, height);
    await settled();
    saw.renditions.push([name, await video('videoHeight')]);
  }
  const plot = page.locator('.quality .drawing');
  const { width } = await plot.boundingBox();
  await plot.click({ position: { x: width * 0.75, y: 20 } });
  await page.waitForFunction(() => document.querySelector('video').currentTime > 0);
  await settled();
  saw.sought = await video('currentTime');
  const hasJoins = !(await page.textContent('.quality .legend')).includes('one part');
  for (const [name, key] of [['frame', '.'], ['back', ','], ...hasJoins ? [['join', '[']] : []]) {
    const before = await video('currentTime');
    await page.locator('.controls button').first().focus();
    await page.keyboard.press(key);
    await page.waitForFunction(before => document.querySelector('video').currentTime !== before, before);
    await settled();
    saw[name] = await video('currentTime');
  }
  saw.marked = await page.evaluate(() => document.querySelector('.cursor').getAttribute('d'));
  if (await page.locator('.pickers select').count() > 1) {
    saw.sounds = await picker(1).locator('option').allTextContents();
    await picker(1).selectOption(saw.sounds.at(-1));
  }
  await page.evaluate(() => {
    const video = document.querySelector('video');
    video.muted = true;
    video.playbackRate = 8;
    return video.play();
  });
  await page.waitForFunction(() => document.querySelector('video').ended || document.querySelector('.player .bad').textContent);
  Object.assign(saw, { ended: await video('ended'), duration: await video('duration'), refused: await page.textContent('.player .bad') });
  const { totalVideoFrames, corruptedVideoFrames } = await page.evaluate(() => {
    const { totalVideoFrames, corruptedVideoFrames } = document.querySelector('video').getVideoPlaybackQuality();
    return { totalVideoFrames, corruptedVideoFrames };
  });
  return { ...saw, frames: totalVideoFrames, corrupted: corruptedVideoFrames };
}

const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', headless: true, args: FLAGS });
let status = 0;
try {
  const said = [];
  const pages = await readAll(browser, plan.pages ?? [], said);
  const title = plan.title ? await play(browser, plan.title, said) : null;
  console.log(JSON.stringify({ pages, title, console: said }));
} catch (error) {
  console.error(String(error));
  status = 1;
} finally {
  await browser.close();
}
process.exit(status);
