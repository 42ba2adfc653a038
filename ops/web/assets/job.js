'use strict';

// One job: its stages, its parts, why it waits, its tasks, who worked on it, and its title when it is done.

/** Cells of the strip. */
const MOST_CELLS = 600;
/** The history of a job that is not over is asked for once in so many rounds. */
const HISTORY_ROUNDS = 5;
/** A job that is over, or that nobody knows, is asked for once in so many rounds. */
const OVER_ROUNDS = 10;

/** How each cell of the strip looks: what is wrong with some of its parts is shown before what is well with others. */
const stripKinds = ({ partsTotal = 0, done = [], running = [], troubled = [] }) => {
  const begins = at => Math.floor(at * partsTotal / done.length);
  return done.map((count, at) => {
    if (troubled[at] > 0) return 'failed';
    if (count >= begins(at + 1) - begins(at)) return 'done';
    if (running[at] > 0) return 'running';
    return count > 0 ? 'begun' : 'waiting';
  });
};

const sumOf = (list = []) => list.reduce((sum, value) => sum + value, 0);

/** The parts of a title as a strip that fills. */
const strip = () => {
  let kinds = [];
  const legend = reel.el('div');
  const draw = width => kinds.length === 0 ? reel.el('p', { class: 'faint' }, 'no parts yet: the plan comes after the index')
    : reel.cells(kinds, Math.max(1, Math.floor(width / (kinds.length > 200 ? 12 : 16))), 'parts of the title');
  const cells = reel.fit(draw);
  const show = now => {
    const next = stripKinds(now);
    if (next.join() === kinds.join()) return;
    kinds = next;
    cells.redraw();
    legend.replaceChildren(reel.legend([['done', `${sumOf(now.done)} of ${now.partsTotal} parts done`], ['running', `${sumOf(now.running)} in hand`],
      ['failed', `${sumOf(now.troubled)} failed`], ['begun', 'some done'], ['waiting', 'to come']]));
  };
  return { element: reel.el('div', { id: 'strip' }, cells, legend), show };
};

/** Tasks that run come first, then those in trouble: the others only wait. */
const RANKS = ['failed', 'running', 'backing-off', 'waiting'];
const TASK_CSS = { running: 'busy', done: 'good', failed: 'bad', 'backing-off': 'odd', skipped: 'odd' };
const taskState = task => reel.word(task.state, 'TASK_STATE_');
const rankOf = task => RANKS.includes(taskState(task)) ? RANKS.indexOf(taskState(task)) : RANKS.length;

const tasks = () => {
  let now = 0;
  const progress = ({ running }) => running ? `${reel.percent(reel.number(running.framesDone), reel.number(running.framesTotal))} % of ${reel.count(reel.number(running.framesTotal))}` : '';
  const told = task => {
    const wait = task.notBeforeMs ? `again in ${reel.span(reel.number(task.notBeforeMs) - now)}; ` : '';
    const fault = task.faults?.at(-1);
    const [first, end] = [task.firstPart ?? 0, task.endPart ?? 0];
    return wait + (fault ? `${fault.worker}: ${fault.message}` : end > first ? `parts ${first}–${end - 1}` : '');
  };
  const list = new reel.List({
    key: task => reel.task(task.id), text: task => `${reel.task(task.id)} ${taskState(task)} ${task.running?.worker ?? ''} ${told(task)}`, most: 200, empty: 'every task is done',
    columns: [
      { name: 'task', cell: task => reel.task(task.id), value: task => reel.task(task.id) },
      { name: 'state', cell: task => ({ text: taskState(task), css: TASK_CSS[taskState(task)] ?? 'faint' }), value: rankOf },
      { name: 'tries', number: true, cell: task => String(task.attempts ?? 0), value: task => task.attempts ?? 0 },
      { name: 'preempted', number: true, cell: task => task.preemptions ? String(task.preemptions) : '', value: task => task.preemptions ?? 0 },
      { name: 'worker', cell: task => task.running?.worker ?? '', value: task => task.running?.worker ?? '' },
      { name: 'progress', cell: progress },
      { name: '', long: true, cell: told },
    ],
  });
  const show = (found, atMs, filter) => {
    now = atMs;
    list.show([...found].sort((one, other) => rankOf(one) - rankOf(other)), filter);
  };
  return { element: list.element, show };
};

/** An element whose content is made anew where what it is made of has changed. */
const remade = make => {
  const element = reel.el('div');
  let said = null;
  return {
    element,
    show: (...from) => {
      const now = JSON.stringify(from);
      if (now === said) return;
      said = now;
      element.replaceChildren();
      reel.fill(element, null, [make(...from)]);
    },
  };
};

const stages = list => reel.el('ul', { class: 'stages' }, list.map(stage => {
  const [total, done] = [stage.total ?? 0, stage.done ?? 0];
  const [css, mark] = stage.running ? ['busy', '▸'] : done >= total ? ['good', '✓'] : ['faint', '·'];
  return reel.el('li', { class: css }, `${mark} ${reel.word(stage.stage, 'STAGE_')}${total > 1 ? ` ${done}/${total}` : ''}`);
}));

/** Why it failed or waits, and what was said of it. */
const why = (job, explanation) => {
  const obstacle = one => reel.el('p', { class: 'odd' }, `! ${one.stage ? `${reel.word(one.stage, 'STAGE_')}: ` : ''}${one.message}`);
  const waits = [reel.el('p', null, `${explanation.running ?? 0} attempts run, ${explanation.waiting ?? 0} tasks wait`), (explanation.obstacles ?? []).map(obstacle)];
  const remarks = [...(job.warnings ?? []).map(one => `warning: ${one}`), ...(job.flags ?? []).map(one => `to be looked at: ${one.what}`)];
  const said = [reel.troubles(job), !job.endedMs && waits, remarks.map(one => reel.el('p', { class: 'odd' }, `! ${one}`))].flat(Infinity).filter(Boolean);
  if (said.length === 0) return [];
  return [reel.el('h2', null, job.reason ? 'Why it failed' : job.endedMs ? 'Remarks' : 'Why it waits'), said];
};

/** How long it took or takes, how fast it goes, for whom. */
const paceOf = (job, { overview, rates }) => {
  const now = reel.number(overview.atMs);
  const row = (overview.jobs ?? []).find(one => one.id === job.id);
  const [fps, left] = [rates.fpsOf(job.id), row && rates.leftMs(row)];
  return [
    `${job.endedMs ? 'after' : 'for'} ${reel.span((reel.number(job.endedMs) || now) - reel.number(job.submittedMs))}`,
    !job.endedMs && fps > 0 && `${reel.rate(fps)} fps`, left !== undefined && `${reel.span(left)} left`, `project ${job.project || 'default'}`, `priority ${job.priority ?? 0}`,
    job.deadlineMs && `deadline ${reel.time(reel.number(job.deadlineMs))}`, reel.number(job.costMicros) > 0 && `cost ${reel.money(reel.number(job.costMicros))}`,
  ].filter(Boolean).join(', ');
};

reel.jobPage = id => {
  const [state, pace] = [reel.el('b'), reel.el('span')];
  const problem = reel.el('p', { class: 'bad' });
  const facts = remade(job => reel.facts([['mezzanine', job.mezzanine], ['output', job.output], ['labels', (job.labels ?? []).map(one => `${one.key}=${one.value}`).join(', ')]]));
  const [steps, cells, reasons, open] = [remade(stages), strip(), remade(why), tasks()];
  const work = remade((attempts, running, nowMs) => reel.timeline(attempts, { running, nowMs }));
  const [costs, unfinished] = [remade(reel.costs), remade(reel.unfinished)];
  const titled = (name, element) => reel.el('section', null, reel.el('h2', null, name), element);
  const waiting = titled('Open tasks', open.element);
  const inside = reel.el('div', { hidden: true }, facts.element, steps.element, reasons.element, titled('Parts', cells.element));
  const last = reel.el('div', { hidden: true }, titled('Timeline', work.element), waiting, titled('Attempts and cost', costs.element), titled('Preemptions and failures', unfinished.element));
  const element = reel.el('div', null, reel.el('h1', null, `Job ${id}`), reel.el('p', null, state, ' ', pace), problem, inside, last);
  let [round, seen, history, drawn, title] = [0, null, null, null, null];
  const ask = async () => {
    const of = what => reel.ask(`jobs/${id}${what}`);
    const isOver = seen?.problem || seen?.job?.endedMs;
    const wanted = !isOver || round % OVER_ROUNDS === 0;
    if (wanted) {
      try {
        const job = await of('');
        const [parts, listed, explanation] = await Promise.all([`/strip?cells=${MOST_CELLS}`, '/tasks?limit=200', '/explain'].map(of));
        if (round % HISTORY_ROUNDS === 0 || job.endedMs) history = await of('/history');
        seen = { job, parts, listed, explanation };
      } catch (error) {
        if (error.status !== 404) throw error;
        seen = { problem: error.message };
      }
    }
    round += 1;
    return { ...seen, history };
  };
  const show = (farm, { job, parts, listed, explanation, history, problem: said }, filter) => {
    problem.textContent = said ?? '';
    inside.hidden = last.hidden = !job;
    if (!job) return;
    const { text, css } = reel.jobState(job);
    [state.textContent, state.className, pace.textContent] = [text, css ?? '', paceOf(job, farm)];
    facts.show(job);
    steps.show(job.stages ?? []);
    cells.show(parts);
    reasons.show(job, explanation);
    waiting.hidden = Boolean(job.endedMs) && !listed.tasks;
    open.show(listed.tasks ?? [], reel.number(farm.overview.atMs), filter);
    // A bar that grows is drawn anew when the history is, not each second.
    if (history !== drawn) {
      drawn = history;
      work.show(history.attempts ?? [], job.running ?? [], reel.number(farm.overview.atMs));
      costs.show(history.attempts ?? []);
      unfinished.show(history.attempts ?? []);
    }
    if (job.state === 'JOB_STATE_DONE' && !title) {
      title = reel.title(id);
      element.insertBefore(title.element, last);
    }
  };
  return { name: `job ${id}`, element, ask, show, close: () => title?.close() };
};
