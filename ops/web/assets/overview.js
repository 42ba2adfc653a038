'use strict';

// The first page: is it busy, is it well, what does it do.

/** Alerts that are shown. */
const MOST_ALERTS = 8;

/** One figure: a name, a value with what it counts, and something below. */
const figureOf = (id, name) => {
  const [value, rest, below] = [reel.el('span', { class: 'value', id }), reel.el('span'), reel.el('dd')];
  const element = reel.el('div', { class: 'figure' }, reel.el('dt', null, name), reel.el('dd', null, value, ' ', rest), below);
  return { element, below, set: (text, more) => { [value.textContent, rest.textContent] = [text, more]; } };
};

const sparkline = readings => {
  const most = Math.max(1, ...readings);
  const points = readings.map((reading, at) => `${at},${(20 - reading / most * 19).toFixed(1)}`).join(' ');
  return reel.svg('svg', { viewBox: `0 0 ${Math.max(1, readings.length - 1)} 20`, preserveAspectRatio: 'none', role: 'img', 'aria-label': 'frames a second of late' },
    reel.svg('polyline', { class: 'spark', points }));
};

const figures = () => {
  const [slots, queue, jobs, encode, cost] = [['slots', 'slots in use'], ['queue', 'tasks that wait'], ['running', 'jobs that run'], ['fps', 'encode'], ['cost', 'cost an hour']].map(([id, name]) => figureOf(id, name));
  const taken = reel.el('progress', { max: 1, value: 0, 'aria-label': 'slots in use' });
  slots.below.append(taken);
  const show = (overview, rates) => {
    const of = key => reel.number(overview[key]);
    const workers = overview.workers ?? [];
    const ready = workers.filter(worker => worker.state === 'WORKER_STATE_READY').length;
    slots.set(`${reel.count(of('slotsTaken'))}/${reel.count(of('slots'))}`, '');
    [taken.max, taken.value] = [Math.max(1, of('slots')), of('slotsTaken')];
    queue.set(reel.count(of('tasksWaiting')), '');
    queue.below.textContent = `${reel.count(ready)} of ${reel.count(workers.length)} workers ready`;
    jobs.set(reel.count(of('jobsRunning')), '');
    const others = [['jobsQueued', 'queued'], ['jobsPaused', 'paused'], ['jobsDone', 'done'], ['jobsFailed', 'failed'], ['jobsLate', 'late'], ['jobsStuck', 'stuck']];
    jobs.below.textContent = others.filter(([key]) => of(key) > 0).map(([key, word]) => `${reel.count(of(key))} ${word}`).join(', ');
    const left = rates.allLeftMs(overview.jobs ?? []);
    encode.set(reel.rate(rates.fps), `fps${left === undefined ? '' : `, all in ${reel.span(left)}`}`);
    encode.below.replaceChildren(sparkline(rates.readings));
    cost.element.hidden = of('costMicros') === 0;
    cost.set(reel.money(of('costMicros')), '');
  };
  return { element: reel.el('dl', { class: 'figures' }, [slots, queue, jobs, encode, cost].map(figure => figure.element)), show };
};

const showAlerts = (list, alerts) => {
  const items = alerts.slice(0, MOST_ALERTS).map(({ isCritical, text }) => reel.el('li', { class: isCritical ? 'bad' : 'odd' }, `${isCritical ? '✖' : '!'} ${text}`));
  if (alerts.length > MOST_ALERTS) items.push(reel.el('li', { class: 'faint' }, `and ${alerts.length - MOST_ALERTS} more`));
  if (alerts.length === 0) items.push(reel.el('li', { class: 'good' }, '✓ nothing to look at'));
  const said = items.map(item => item.textContent).join('\n');
  if (list.said === said) return;
  list.said = said;
  list.replaceChildren(...items);
};

const JOB_CSS = { running: 'busy', done: 'good', failed: 'bad', paused: 'odd', canceled: 'odd', queued: 'faint' };
/** A mark beside the word, so that a state is not told by colour alone. */
const JOB_MARK = { running: '▸', done: '✓', failed: '✖', paused: '‖', canceled: '–', queued: '·' };

/** How a state of a job is shown. */
reel.jobState = job => {
  const state = reel.word(job.state, 'JOB_STATE_') || 'unknown';
  return { text: `${JOB_MARK[state] ?? '?'} ${state}`, css: JOB_CSS[state] };
};

/** How far a job is, in percent. */
const progressOf = job => job.state === 'JOB_STATE_DONE' ? 100 : reel.percent(reel.number(job.framesDone), reel.number(job.framesTotal));

const jobs = () => {
  let [rates, now] = [new reel.Rates(), 0];
  const left = job => job.endedMs ? `${reel.span(now - reel.number(job.endedMs))} ago` : rates.leftMs(job) === undefined ? '' : reel.span(rates.leftMs(job));
  const fps = job => job.running && rates.fpsOf(job.id) > 0 ? rates.fpsOf(job.id) : 0;
  const list = new reel.List({
    key: job => job.id, most: 200, empty: 'no job was submitted yet',
    text: job => `${job.id} ${reel.word(job.state, 'JOB_STATE_')} ${job.project ?? ''} ${job.output ?? ''} ${job.trouble ?? ''}`,
    columns: [
      { name: 'job', number: true, cell: job => ({ text: job.id, href: `#/jobs/${job.id}` }), value: job => reel.number(job.id) },
      { name: 'state', cell: reel.jobState, value: job => job.state ?? '' },
      { name: 'stage', cell: job => job.endedMs ? '' : reel.word(job.stage, 'STAGE_'), value: job => job.stage ?? '' },
      { name: 'parts', cell: job => ({ text: `${progressOf(job)} %`, percent: progressOf(job), title: `${job.partsDone ?? 0} of ${job.partsTotal ?? 0} parts` }), value: progressOf },
      { name: 'fps', number: true, cell: job => fps(job) > 0 ? reel.rate(fps(job)) : '', value: fps },
      { name: 'left', number: true, title: 'until it is encoded, or since it ended', cell: left, value: job => rates.leftMs(job) ?? Infinity },
      { name: 'runs', number: true, title: 'attempts', cell: job => job.running ? String(job.running) : '', value: job => job.running ?? 0 },
      { name: 'waits', number: true, title: 'tasks that wait for a slot', cell: job => reel.number(job.waiting) > 0 ? reel.count(reel.number(job.waiting)) : '', value: job => reel.number(job.waiting) },
      { name: 'priority', number: true, cell: job => job.priority ? String(job.priority) : '', value: job => job.priority ?? 0 },
      { name: 'project', cell: job => job.project ?? '', value: job => job.project ?? '' },
      { name: 'cost', number: true, cell: job => reel.money(reel.number(job.costMicros)), value: job => reel.number(job.costMicros) },
      { name: 'output', long: true, cell: job => ({ text: `${job.trouble ? '! ' : ''}${job.output ?? ''}`, css: job.trouble ? 'bad' : null, title: job.trouble }), value: job => job.output ?? '' },
    ],
  });
  const show = (overview, current, filter) => {
    [rates, now] = [current, reel.number(overview.atMs)];
    list.show(overview.jobs ?? [], filter);
  };
  return { element: list.element, show };
};

/** Log entries behind the leader that are no lag. */
const NEAR = 100;

const logOf = (member, status) => {
  if (member.id === status.leader) return { text: `${reel.count(reel.number(status.lastLog))} entries` };
  // Where the leader does not answer, nobody knows.
  if (member.matched === undefined) return { text: 'not heard of', css: status.leader === status.node ? 'bad' : 'faint' };
  const behind = reel.number(status.lastLog) - reel.number(member.matched);
  return { text: `${reel.count(behind)} behind`, css: behind <= NEAR ? 'good' : 'odd' };
};

const cluster = () => {
  const head = reel.el('p');
  let status = {};
  const list = new reel.List({
    key: member => member.id, text: member => `${member.id} ${member.address}`, most: 100, empty: '',
    columns: [
      { name: 'scheduler', cell: member => member.id },
      { name: 'role', cell: member => member.id === status.leader ? { text: '★ leader', css: 'good' } : member.voter ? 'voter' : 'learner' },
      { name: 'log', cell: member => logOf(member, status) },
      { name: 'address', long: true, cell: member => member.address ?? '' },
    ],
  });
  const show = now => {
    status = now;
    const voters = (now.members ?? []).filter(member => member.voter).length;
    head.textContent = `${now.leader === undefined ? 'nobody leads' : `scheduler ${now.leader} leads`} in term ${reel.number(now.term)}; ${voters} voters: ${Math.floor(Math.max(0, voters - 1) / 2)} may be lost; ${reel.count(reel.number(now.applied))} entries applied, snapshot at ${reel.count(reel.number(now.snapshot))}`;
    list.show(now.members ?? [], '');
  };
  return { element: reel.el('div', { id: 'cluster' }, head, list.element), show };
};

reel.overviewPage = () => {
  const [numbers, map, list, schedulers, alerts] = [figures(), reel.heat(), jobs(), cluster(), reel.el('ul', { class: 'alerts', id: 'alerts' })];
  const titled = (name, element) => reel.el('section', null, reel.el('h2', null, name), element);
  return {
    name: '',
    element: reel.el('div', null, numbers.element, alerts,
      reel.el('div', { class: 'fleet' }, titled('Workers', map.element), titled('Schedulers', schedulers.element)), titled('Jobs', list.element)),
    show: ({ overview, rates, cluster }, _, filter) => {
      numbers.show(overview, rates);
      showAlerts(alerts, reel.alerts(overview, cluster));
      list.show(overview, rates, filter);
      map.show(overview.workers ?? []);
      if (cluster) schedulers.show(cluster);
    },
  };
};
