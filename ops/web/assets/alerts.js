'use strict';

// What an operator is to look at.

/** How long the failure of a job is news. */
const NEWS_MS = 60 * 60 * 1000;
/** Log entries that a scheduler may be behind its leader while it is well. */
const MAX_LAG = 1000;
/** Space left for runners below which a worker is about to fail. */
const MIN_SCRATCH = 2 * 2 ** 30;
/** Names in one alert. */
const MAX_NAMES = 3;

/** `w1, w2, w3 and 4 more`; empty of nobody. */
const names = all => all.slice(0, MAX_NAMES).join(', ') + (all.length > MAX_NAMES ? ` and ${all.length - MAX_NAMES} more` : '');

const critical = text => ({ isCritical: true, text });
const warning = text => ({ isCritical: false, text });

const ofCluster = status => {
  const lastLog = reel.number(status.lastLog);
  // Only the leader knows how far the others are.
  const behind = status.leader !== undefined && status.leader === status.node
    ? (status.members ?? []).filter(member => member.id !== status.node && lastLog - reel.number(member.matched) > MAX_LAG) : [];
  return [
    status.leader === undefined && critical('no scheduler leads: nothing is begun'),
    behind.length > 0 && warning(`scheduler ${names(behind.map(member => member.id))} is behind or away: one less may be lost`),
  ];
};

const ofWorkers = overview => {
  const workers = overview.workers ?? [];
  const named = condition => names(workers.filter(condition).map(worker => worker.name));
  const of = state => named(worker => worker.state === state);
  const open = reel.number(overview.jobsQueued) + reel.number(overview.jobsRunning);
  const [quarantined, silent] = [of('WORKER_STATE_QUARANTINED'), of('WORKER_STATE_SILENT')];
  const short = named(worker => worker.load && reel.number(worker.load.scratchFree) < MIN_SCRATCH);
  return [
    reel.number(overview.slots) === 0 && open > 0 && critical(`no worker takes work, and ${open} jobs wait`),
    quarantined && warning(`quarantined, since jobs fail there: ${quarantined}`),
    silent && warning(`not heard of: ${silent}`),
    short && warning(`little scratch space is left on ${short}`),
  ];
};

const ofJobs = overview => {
  const now = reel.number(overview.atMs);
  return (overview.jobs ?? []).map(job => {
    const [ended, deadline] = [reel.number(job.endedMs), reel.number(job.deadlineMs)];
    if (job.state === 'JOB_STATE_FAILED' && ended + NEWS_MS > now) return critical(`job ${job.id} failed ${reel.span(now - ended)} ago: ${job.trouble ?? ''}`);
    if (!ended && deadline > 0 && deadline < now) return warning(`job ${job.id} is ${reel.span(now - deadline)} over its deadline`);
    return job.state === 'JOB_STATE_RUNNING' && job.trouble && warning(`job ${job.id} tries again: ${job.trouble}`);
  });
};

/** Everything that is wrong, the worst first: { isCritical, text }. */
reel.alerts = (overview, cluster) => [...cluster ? ofCluster(cluster) : [], ...ofWorkers(overview), ...ofJobs(overview)]
  .filter(Boolean).sort((one, other) => other.isCritical - one.isCritical);
