'use strict';

// The report of a job as one file: what it made, how well, who worked on it, and what that took.

/** The attempts of report.json as messages of the farm have them. */
reel.attemptsOfReport = report => (report?.job?.attempts ?? []).map(one => {
  const [job, stage, index] = (one.task ?? '').split('/');
  return {
    task: { job, stage: `STAGE_${(stage ?? '').toUpperCase()}`, index: Number(index) }, attempt: one.attempt, worker: one.worker,
    startedMs: one.started_ms, endedMs: one.ended_ms, outcome: one.outcome, message: one.message,
    pool: one.pool ? `POOL_${one.pool.toUpperCase().replaceAll('-', '_')}` : undefined, costMicros: one.cost_micros,
  };
});

/** All attempts that anybody remembers: the farm forgets those of jobs that are over, reports do not know the last. */
reel.attempts = (history, report) => {
  const key = one => `${reel.task(one.task)} ${one.attempt}`;
  const all = new Map([...reel.attemptsOfReport(report), ...(history?.attempts ?? [])].map(one => [key(one), one]));
  return [...all.values()].sort((one, other) => reel.number(one.startedMs) - reel.number(other.startedMs));
};

/** Names and values; those without a value are left out. */
reel.facts = entries => reel.el('dl', { class: 'facts' }, entries.filter(([, value]) => value)
  .map(([name, value]) => [reel.el('dt', null, name), reel.el('dd', null, value)]));

const MOST_ENDED = 200;

/** The attempts that ended without their result. */
reel.unfinished = attempts => {
  const all = attempts.filter(one => one.outcome !== 'done');
  if (all.length === 0) return reel.el('p', { class: 'faint' }, 'every attempt ended with its result');
  const shown = all.slice(-MOST_ENDED);
  const columns = [{ name: 'task' }, { name: 'attempt', number: true }, { name: 'worker' }, { name: 'pool' }, { name: 'began' }, { name: 'took', number: true }, { name: 'outcome' }, { name: 'message', long: true }];
  const rows = shown.map(one => [reel.task(one.task), String(one.attempt), one.worker, reel.word(one.pool, 'POOL_') || 'on-demand', reel.time(reel.number(one.startedMs)),
    reel.span(reel.number(one.endedMs) - reel.number(one.startedMs)), reel.el('span', { class: reel.outcome(one.outcome) === 'gone' ? 'odd' : 'bad' }, one.outcome), one.message ?? '']);
  return [all.length > shown.length && reel.el('p', { class: 'faint' }, `the newest ${shown.length} of ${all.length}`), reel.el('div', { class: 'scroll' }, reel.table(columns, rows))];
};

/** Why a job failed, and what was said of it. */
reel.troubles = job => [
  job?.reason && reel.el('div', { class: 'reason' },
    reel.el('p', { class: 'bad' }, `✖ ${reel.task(job.reason.task) || 'it'} failed${job.reason.worker ? ` on ${job.reason.worker}` : ''}: ${job.reason.message ?? ''}`),
    job.reason.evidence && reel.el('pre', null, job.reason.evidence)),
  job?.trouble && reel.el('p', { class: 'odd' }, `! ${reel.task(job.trouble.task)}, attempt ${job.trouble.attempt}, on ${job.trouble.worker}: ${job.trouble.message ?? ''}`),
];

const said = (kind, list) => list?.length > 0 && reel.el('ul', null, list.map(one => reel.el('li', null, `${kind}: ${one}`)));

const head = ({ job, history, report, made_ms: madeMs }, attempts) => {
  const [id, state] = [job?.id ?? report?.job?.id, job ? reel.word(job.state, 'JOB_STATE_') : 'done'];
  const submitted = reel.number(job?.submittedMs ?? report?.job?.submitted_ms);
  const ended = reel.number(job?.endedMs) || (job ? 0 : Math.max(0, ...attempts.map(one => one.endedMs)));
  const micros = Math.max(reel.number(job?.costMicros), reel.number(history?.costMicros), reel.number(report?.job?.cost_micros));
  const { mezzanine, profile } = report ?? {};
  const of = mezzanine && `${mezzanine.codec} ${mezzanine.width}×${mezzanine.height}, ${mezzanine.frame_rate ? `${mezzanine.frame_rate} frames a second` : 'its rate varies'}, ${reel.count(mezzanine.frames)} frames, ${mezzanine.scan}`;
  const name = (job?.output ?? report?.job?.output ?? '').split('/').filter(Boolean).at(-1) ?? '';
  document.title = `Job ${id}: ${name}`;
  const gone = attempts.filter(one => reel.outcome(one.outcome) === 'gone').length;
  const failed = attempts.filter(one => reel.outcome(one.outcome) === 'failed').length;
  return [
    reel.el('h1', null, `Job ${id}: ${name}`),
    reel.facts([
      ['state', reel.el('b', { class: { done: 'good', failed: 'bad' }[state] ?? 'busy' }, state)],
      ['mezzanine', job?.mezzanine ?? mezzanine?.url], ['', of],
      ['output', job?.output ?? report?.job?.output],
      ['profile', profile && `${profile.name}, version ${profile.version}`],
      ['labels', (job?.labels ?? []).map(label => `${label.key}=${label.value}`).join(', ')],
      ['submitted', submitted > 0 && reel.time(submitted)],
      ['took', ended > 0 && reel.span(ended - submitted)],
      ['attempts', `${reel.count(Math.max(attempts.length, reel.number(history?.attemptsTotal), report?.job?.attempts_total ?? 0))}: ${gone} preempted, ${failed} failed${attempts.length > 0 ? '' : ' that are remembered'}`],
      ['parts encoded twice', String(reel.number(job?.partsEncodedTwice ?? report?.job?.parts_encoded_twice))],
      ['cost', reel.money(micros)],
      ['report made', madeMs && reel.time(madeMs)],
    ]),
    reel.troubles(job),
    said('warning', job?.warnings ?? report?.job?.warnings),
    said('to be looked at', (job?.flags ?? report?.job?.flags)?.map(flag => flag.what)),
  ];
};

const section = (name, ...content) => reel.el('section', null, reel.el('h2', null, name), content);

const files = report => reel.el('details', { class: 'screen' }, reel.el('summary', null, `${report.files.length} files and their digests`),
  reel.el('div', { class: 'scroll' }, reel.table([{ name: 'file' }, { name: 'bytes', number: true }, { name: 'SHA-256' }],
    report.files.map(file => [file.path, reel.count(file.bytes), reel.el('span', { class: 'digest' }, file.sha256)]))));

/** All of it: `data` is { job, history, report, made_ms }, of which all but the last may be lacking. */
reel.report = data => {
  const { job, history, report } = data;
  const attempts = reel.attempts(history, report);
  const libraries = Object.entries(report?.libraries ?? {}).map(([name, version]) => `${name} ${version}`).join(', ');
  return [
    head(data, attempts),
    report ? [
      section('Ladder', reel.ladder(report)),
      section('Quality and bit rate', reel.quality(report)),
      section('Joins', reel.joins(report)),
      section('Worst parts', reel.parts(report)),
    ] : reel.el('p', { class: 'faint' }, 'the title is not there, or was not read: what follows is what the farm remembers'),
    section('Timeline', reel.timeline(attempts, { running: job?.running, nowMs: data.made_ms })),
    section('Attempts and cost', reel.costs(attempts)),
    section('Preemptions and failures', reel.unfinished(attempts)),
    report && section('Proof', reel.proof(report), reel.facts([
      ['SHA-256 of the profile', report.profile?.sha256], ['made by', report.made_by], ['with', libraries],
    ]), report.files && files(report)),
  ];
};
