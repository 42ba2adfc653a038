'use strict';

// Numbers and names as people read them, the same as in the terminal monitor.

/** Reads JSON without the characters that turn the text around them (Unicode Standard Annex 9, section 2): names come from anybody. */
reel.parse = text => JSON.parse(text.replace(/[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '\ufffd'));

/** A number of protobuf's JSON, in which 64 bits are text and 0 is left out. */
reel.number = value => Number(value ?? 0);

/** `running` of `JOB_STATE_RUNNING` and `JOB_STATE_`. */
reel.word = (value, prefix) => (value ?? '').replace(prefix, '').toLowerCase().replaceAll('_', '-');

/** `42/encode/7`. */
reel.task = task => task ? `${reel.number(task.job)}/${reel.word(task.stage, 'STAGE_')}/${reel.number(task.index)}` : '';

/** A span of milliseconds in at most two units: `3m 20s`. */
reel.span = ms => {
  const seconds = Math.floor(Math.max(0, ms) / 1000);
  const [d, h, m, s] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60];
  if (d > 0) return `${d}d ${h}h`;
  if (h > 0) return `${h}h ${m}m`;
  return m > 0 ? `${m}m ${s}s` : `${s}s`;
};

/** A count with thin spaces between thousands. */
reel.count = count => String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, '\u2009');

/** A rate: with a decimal place where it is small. */
reel.rate = value => value < 100 ? value.toFixed(1) : reel.count(value);

/** Bytes in binary units. */
reel.bytes = count => {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let unit = 0;
  while (count >= 1024 && unit < units.length - 1) [count, unit] = [count / 1024, unit + 1];
  return unit === 0 ? `${count} B` : `${count.toFixed(1)} ${units[unit]}`;
};

/** A share in whole percent: 100 only when nothing is left. */
reel.percent = (done, total) => total > 0 ? Math.floor(Math.min(done, total) * 100 / total) : 0;

/** Money of millionths; empty where there is none. */
reel.money = micros => micros > 0 ? (micros / 1e6).toFixed(2) : '';

/** A time of milliseconds since 1970, in UTC. */
reel.time = ms => new Date(ms).toISOString().slice(0, 19).replace('T', ' ') + ' UTC';

/** A place in a title: `0:01:02.3`. */
reel.clock = seconds => {
  const tenths = Math.round(seconds * 10);
  const [h, m, s] = [Math.floor(tenths / 36000), Math.floor(tenths / 600) % 60, tenths / 10 % 60];
  return `${h}:${String(m).padStart(2, '0')}:${s.toFixed(1).padStart(4, '0')}`;
};
