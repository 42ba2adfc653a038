'use strict';

// How fast the farm is: from what it has counted now and before.

/** Readings of the past that are drawn. */
const MOST_READINGS = 240;
/** Seconds after which a reading counts for a third: parts are committed, and heartbeats come, some seconds apart. */
const MEMORY_S = 15;

/** What was before fades with the time that has passed since. */
const smooth = (before, now, passedMs) => now + Math.exp(-passedMs / (1000 * MEMORY_S)) * (before - now);

/** Frames a second, of the farm and of its jobs. */
reel.Rates = class {
  constructor() { Object.assign(this, { before: null, readings: [], fps: 0, jobs: new Map() }); }

  /** Takes a reading. */
  note(overview) {
    const [atMs, term, frames] = [overview.atMs, overview.term, overview.frames].map(reel.number);
    // Another leader counts from nothing, and has another clock.
    if (this.before?.term === term && this.before.atMs < atMs) {
      const passed = atMs - this.before.atMs;
      const fps = Math.max(0, frames - this.before.frames) * 1000 / passed;
      this.fps = smooth(this.fps, fps, passed);
      this.readings = [...this.readings, Math.round(fps)].slice(-MOST_READINGS);
    }
    this.before = { term, atMs, frames };
    const open = (overview.jobs ?? []).filter(job => !job.endedMs);
    this.jobs = new Map(open.map(job => [job.id, this.next(job, atMs)]));
  }

  next(job, atMs) {
    const before = this.jobs.get(job.id);
    const frames = reel.number(job.framesDone);
    if (!before || atMs <= before.atMs) return { atMs, frames, fps: before?.fps };
    // Frames in hand are lost with their attempt.
    const [passed, counted] = [atMs - before.atMs, Math.max(0, frames - before.frames)];
    const fps = counted * 1000 / passed;
    return { atMs, frames, fps: before.fps === undefined ? fps : smooth(before.fps, fps, passed) };
  }

  /** Of a job; undefined before it was seen twice. */
  fpsOf(job) { return this.jobs.get(job)?.fps; }

  /** Milliseconds until the encode of a job is over, at its rate; undefined where that says nothing. */
  leftMs(job) {
    const [fps, left] = [this.fpsOf(job.id), reel.number(job.framesTotal) - reel.number(job.framesDone)];
    return fps > 0.05 && left > 0 ? left * 1000 / fps : undefined;
  }

  /** Milliseconds until everything is encoded that is known of, at the rate of the farm. */
  allLeftMs(jobs) {
    const left = jobs.filter(job => !job.endedMs).reduce((sum, job) => sum + Math.max(0, reel.number(job.framesTotal) - reel.number(job.framesDone)), 0);
    return this.fps > 0.05 && left > 0 ? left * 1000 / this.fps : undefined;
  }
};
