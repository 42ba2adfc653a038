'use strict';

// Asks the farm each second, and shows the page that the address names.

/** Milliseconds between two rounds; after failures up to the second. */
const [PAUSE_MS, MOST_PAUSE_MS] = [1000, 5000];
/** How long an answer may take. */
const PATIENCE_MS = 10000;
/** The schedulers are asked for once in so many rounds. */
const CLUSTER_ROUNDS = 5;

/** What a scheduler says under a path of its interface. Errors have what it said, and its `status`. */
reel.ask = async path => {
  const response = await fetch(`api/v1/${path}`, { signal: AbortSignal.timeout(PATIENCE_MS) });
  const answer = await response.text().then(reel.parse).catch(() => ({ error: `the scheduler answered ${response.status}` }));
  if (response.ok) return answer;
  throw Object.assign(new Error(answer.error ?? `the scheduler answered ${response.status}`), { status: response.status });
};

const farm = { overview: null, cluster: null, rates: new reel.Rates() };
const filter = document.getElementById('filter');
const banner = document.getElementById('banner');
const link = document.getElementById('link');
let [page, seen, round, failures, heardAt, wakeUp] = [null, undefined, 0, 0, 0, () => {}];

const pageOf = hash => {
  const job = /^#\/jobs\/(\d+)$/.exec(hash);
  if (job) return reel.jobPage(job[1]);
  return { '#/workers': reel.workersPage, '#/events': reel.eventsPage }[hash]?.() ?? reel.overviewPage();
};

const show = () => {
  if (farm.overview && (seen !== undefined || !page.ask)) page.show(farm, seen, filter.value.trim());
};

/** Opens the page that the address names. */
const turn = () => {
  page?.close?.();
  page = pageOf(location.hash);
  seen = undefined;
  filter.value = '';
  document.title = page.name ? `${page.name} – Reelfarm` : 'Reelfarm';
  document.getElementById('page').replaceChildren(page.element);
  for (const one of document.querySelectorAll('nav a')) {
    if (one.hash === (location.hash || '#/')) one.setAttribute('aria-current', 'page');
    else one.removeAttribute('aria-current');
  }
  show();
  scrollTo(0, 0);
  wakeUp();
};

const lookUp = async () => {
  const asked = page;
  const [overview, answer, cluster] = await Promise.all([
    reel.ask('overview?jobs=1000'), asked.ask?.(), round % CLUSTER_ROUNDS === 0 ? reel.ask('cluster') : farm.cluster,
  ]);
  farm.rates.note(overview);
  Object.assign(farm, { overview, cluster });
  round += 1;
  if (asked === page) seen = answer;
};

/** What is shown while nobody answers, with its age. */
const tellOfFailure = error => {
  const age = heardAt > 0 ? `; what is shown is ${reel.span(performance.now() - heardAt)} old` : '';
  banner.textContent = `✖ ${error.status ? error.message : 'the scheduler does not answer'}${age}; asking again`;
  banner.hidden = false;
  document.body.classList.toggle('stale', heardAt > 0);
  link.textContent = 'not connected';
};

const tellOfSuccess = () => {
  banner.hidden = true;
  document.body.classList.remove('stale');
  link.textContent = new Date(reel.number(farm.overview.atMs)).toISOString().slice(11, 19) + ' UTC';
};

const follow = async () => {
  for (;;) {
    try {
      await lookUp();
      [failures, heardAt] = [0, performance.now()];
      tellOfSuccess();
      show();
    } catch (error) {
      failures += 1;
      tellOfFailure(error);
    }
    const pause = Math.min(PAUSE_MS * 1.5 ** failures, MOST_PAUSE_MS);
    await new Promise(resolve => {
      wakeUp = resolve;
      setTimeout(resolve, pause);
    });
  }
};

filter.addEventListener('input', show);
addEventListener('hashchange', turn);
addEventListener('keydown', event => {
  const isTyping = event.target instanceof HTMLInputElement;
  if (event.key === '/' && !isTyping) {
    event.preventDefault();
    filter.focus();
  } else if (event.key === 'Escape' && event.target === filter) {
    filter.value = '';
    filter.blur();
    show();
  }
});
turn();
follow();
