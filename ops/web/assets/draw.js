'use strict';

// Drawings that the page and the report share: cells, the timeline of attempts, the curves of a title.

/** What a drawing is as wide as before it has a place. */
const USUAL_WIDTH = 960;

/** A box that is drawn anew whenever its width changes: `draw(width)` gives what is in it. */
reel.fit = draw => {
  const box = reel.el('div', { class: 'fit' });
  let drawn = 0;
  box.redraw = () => {
    drawn = Math.round(box.clientWidth) || drawn || USUAL_WIDTH;
    box.replaceChildren(draw(drawn));
  };
  new ResizeObserver(() => Math.round(box.clientWidth) !== drawn && box.clientWidth > 0 && box.redraw()).observe(box);
  box.redraw();
  return box;
};

reel.drawing = (width, height, label, ...children) =>
  reel.svg('svg', { class: 'drawing', viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label }, children);

/** The parts of a cell of 10 by 10 that are filled, by what it says: states differ in shape, not in colour alone. */
const CELLS = {
  done: 'M0 0h9v9h-9z', full: 'M0 0h9v9h-9z',
  begun: 'M0 5h9v4h-9z', working: 'M0 4h9v5h-9z',
  running: 'M0 9v-9h4.5v9z', gone: 'M0 3h9v3h-9z', held: 'M0 3h9v3h-9z',
  failed: 'M0 0l9 9h-9zM9 0v4l-4 -4z', away: 'M0 0l9 9h-9zM9 0v4l-4 -4z',
  waiting: 'M0 8h9v1h-9z', idle: 'M3 3h3v3h-3z',
};

/** One path for all cells of a kind, however many there are: `kinds` in the order of reading, `columns` a line. */
reel.cells = (kinds, columns, label) => {
  const paths = new Map();
  kinds.forEach((kind, at) => {
    const move = `M${at % columns * 10} ${Math.floor(at / columns) * 10}`;
    const shape = CELLS[kind].replace(/M([\d.]+) ([\d.]+)/g, (_, x, y) => `${move}m${x} ${y}`);
    paths.set(kind, (paths.get(kind) ?? '') + shape);
  });
  const height = Math.ceil(kinds.length / columns) * 10;
  const drawn = [...paths].map(([kind, d]) => reel.svg('path', { class: `fill-${kind}`, d }));
  return reel.drawing(columns * 10, height, label, drawn);
};

/** What shapes and colours mean: a list of [kind, words]. */
reel.legend = (entries, shapes = CELLS) => reel.el('div', { class: 'legend' }, entries.map(([kind, words]) => reel.el('span', null,
  reel.svg('svg', { width: 12, height: 12, viewBox: '0 0 9 9', 'aria-hidden': 'true' },
    reel.svg('path', { class: `fill-${kind}`, d: shapes[kind] })), words)));

/** What became of an attempt. */
reel.outcome = outcome => outcome === 'done' ? 'done' : ['preempted', 'revoked'].includes(outcome) ? 'gone' : 'failed';

/** The work of each worker on a job: { worker, start, end, kind, title }, by the names of workers. */
const work = (attempts, { running = [], nowMs }) => {
  const ended = attempts.map(one => ({
    worker: one.worker, kind: reel.outcome(one.outcome), start: reel.number(one.startedMs), end: reel.number(one.endedMs),
    title: `${reel.task(one.task)}, attempt ${one.attempt}: ${one.outcome}${one.message ? `: ${one.message}` : ''}`,
  }));
  const now = running.map(one => ({
    worker: one.worker, kind: 'running', start: reel.number(one.startedMs), end: Math.max(nowMs, reel.number(one.startedMs)),
    title: `${reel.task(one.task)}, attempt ${one.attempt}: runs`,
  }));
  const rows = new Map();
  for (const span of [...ended, ...now]) {
    const name = span.worker ?? '';
    if (!rows.has(name)) rows.set(name, []);
    rows.get(name).push(span);
  }
  return [...rows].sort(([one], [other]) => one.localeCompare(other, 'en', { numeric: true }));
};

const MOST_ROWS = 100;
const ROW = 16;
/** Where a bar begins in its row and how high it is: what is worse is larger and drawn later. */
const BARS = { done: [3, 10], running: [5, 6], gone: [7, 3], failed: [1, 14] };
const BAR_SHAPES = Object.fromEntries(Object.entries(BARS).map(([kind, [top, height]]) => [kind, `M0 ${top * 9 / ROW}h9v${height * 9 / ROW}h-9z`]));

/** Who worked on a job when: a row for each worker. `options` are { running, nowMs } of a job that is not over. */
reel.timeline = (attempts, options = {}) => {
  const rows = work(attempts, options);
  if (rows.length === 0) return reel.el('p', { class: 'faint' }, 'nobody has worked on it yet');
  const spans = rows.flatMap(([, spans]) => spans);
  const start = spans.reduce((least, span) => Math.min(least, span.start), Infinity);
  const end = spans.reduce((most, span) => Math.max(most, span.end), start + 1);
  const shown = rows.slice(0, MOST_ROWS);
  const draw = width => {
    const left = Math.min(150, Math.round(width * 0.25));
    const place = ms => left + (ms - start) / (end - start) * (width - left - 8);
    const height = shown.length * ROW + 18;
    const label = name => name.length * 6.5 > left - 8 ? `…${name.slice(-Math.floor((left - 8) / 6.5) + 1)}` : name;
    const bar = (span, y) => {
      const [top, height] = BARS[span.kind];
      const [x, until] = [place(span.start), place(span.end)];
      return reel.svg('rect', { class: `fill-${span.kind}`, x: x.toFixed(1), y: y + top, height, width: Math.max(1, until - x - 0.5).toFixed(1) },
        reel.svg('title', null, `${span.title}, ${reel.span(span.end - span.start)}`));
    };
    const order = Object.keys(BARS);
    const row = ([name, spans], at) => [
      reel.svg('text', { x: 0, y: at * ROW + 12 }, label(name), reel.svg('title', null, name)),
      reel.svg('line', { class: 'tick', x1: left, x2: width - 8, y1: at * ROW + 8, y2: at * ROW + 8 }),
      [...spans].sort((one, other) => order.indexOf(one.kind) - order.indexOf(other.kind)).map(span => bar(span, at * ROW)),
    ];
    const ticks = [0, 0.25, 0.5, 0.75, 1].filter((_, at) => width > 600 || at % 2 === 0);
    const scale = ticks.map(share => {
      const x = left + share * (width - left - 8);
      const anchor = share === 0 ? 'start' : share === 1 ? 'end' : 'middle';
      return reel.svg('text', { x, y: height - 3, 'text-anchor': anchor }, reel.span((end - start) * share));
    });
    return reel.drawing(width, height, 'attempts by worker over time', shown.map(row), scale);
  };
  const count = kind => spans.filter(span => span.kind === kind).length;
  const legend = [['done', 'done'], ['running', 'run'], ['gone', 'preempted'], ['failed', 'failed']]
    .filter(([kind]) => count(kind) > 0).map(([kind, word]) => [kind, `${count(kind)} ${word}`]);
  const more = rows.length - shown.length;
  return reel.el('div', { class: 'timeline' }, reel.fit(draw), reel.legend(legend, BAR_SHAPES), reel.el('p', { class: 'faint' },
    `from ${reel.time(start)} to ${reel.time(end)}, ${reel.span(end - start)}${more > 0 ? `; ${more} more workers are not drawn` : ''}`));
};

const [PLOT, GAP, LEFT] = [84, 12, 66];

/** The lowest and the highest value of all curves. */
const range = curves => curves.flat().reduce(([low, high], { value }) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);

const valueAt = (steps, time) => steps.find(step => time >= step.start && time < step.end)?.value;

/**
 * The curves of a title by its report: a plot for each measure, a line for each rendition, joins dotted, black and frozen
 * stretches shaded. `onSeek(seconds)` hears of clicks. The element's `mark(seconds)` shows where a player is.
 */
reel.quality = (report, onSeek) => {
  const plot = reel.curves(report);
  const shown = reel.MEASURES.filter(({ key }) => plot.renditions.some(rendition => rendition[key].length > 0));
  if (plot.seconds <= 0 || shown.length === 0) return reel.el('p', { class: 'faint' }, 'its report has no curves');
  const readout = reel.el('output', { class: 'readout' });
  let [svg, cursor, marked, drawnWidth] = [null, null, null, USUAL_WIDTH];
  const place = (time, width) => LEFT + Math.min(1, Math.max(0, time / plot.seconds)) * (width - LEFT - 8);
  const panel = (measure, at, width) => {
    const { key, name, unit, digits } = measure;
    const y = at * (PLOT + GAP) + 4;
    const [lowest, highest] = range(plot.renditions.map(rendition => rendition[key]));
    // A rate is seen against nothing, qualities against each other.
    const [low, high] = [key === 'rate' ? 0 : lowest, highest > lowest ? highest : lowest + 1];
    const height = value => y + PLOT - 4 - (value - low) / (high - low) * (PLOT - 8);
    const curve = (rendition, number) => reel.svg('polyline', {
      class: `curve curve-${number % 6 + 1}`,
      points: rendition[key].flatMap(step => [step.start, step.end].map(time => `${place(time, width).toFixed(1)},${height(step.value).toFixed(1)}`)).join(' '),
    }, reel.svg('title', null, `${name} of ${rendition.name}`));
    const shade = kind => plot[kind].map(({ start, end }) => reel.svg('rect', {
      class: kind, x: place(start, width).toFixed(1), y, height: PLOT, width: Math.max(1, place(end, width) - place(start, width)).toFixed(1),
    }, reel.svg('title', null, `${kind} from ${reel.clock(start)} to ${reel.clock(end)}`)));
    const joins = [...new Set(plot.renditions.flatMap(rendition => rendition.joins))];
    const label = (text, dy, css) => reel.svg('text', { x: 0, y: y + dy, class: css }, text);
    return [
      reel.svg('rect', { class: 'frame', x: LEFT, y, width: width - LEFT - 8, height: PLOT }),
      shade('black'), shade('frozen'),
      reel.svg('path', { class: 'join', d: joins.map(join => `M${place(join, width).toFixed(1)} ${y}v${PLOT}`).join('') }),
      plot.renditions.map(curve),
      label(high.toFixed(digits), 10), label(name, PLOT / 2, 'name'), label(unit, PLOT / 2 + 13), label(low.toFixed(digits), PLOT - 1),
    ];
  };
  const mark = time => {
    marked = time;
    const x = place(time ?? 0, drawnWidth);
    cursor.setAttribute('d', time === null ? '' : `M${x} 0V${shown.length * (PLOT + GAP)}`);
  };
  const timeOf = event => {
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * drawnWidth;
    return Math.min(1, Math.max(0, (x - LEFT) / (drawnWidth - LEFT - 8))) * plot.seconds;
  };
  const tell = event => {
    const time = timeOf(event);
    const values = plot.renditions.map(rendition => {
      const found = shown.map(({ key, name, unit, digits }) => [name, valueAt(rendition[key], time)?.toFixed(digits), unit]);
      return `${rendition.name}: ${found.filter(([, value]) => value).map(said => said.join(' ').trim()).join(', ')}`;
    });
    readout.textContent = `${reel.clock(time)}  ${values.join('  |  ')}`;
  };
  const draw = width => {
    drawnWidth = width;
    const height = shown.length * (PLOT + GAP) + 10;
    cursor = reel.svg('path', { class: 'cursor', d: '' });
    const scale = [0, 0.25, 0.5, 0.75, 1].filter((_, at) => width > 600 || at % 2 === 0).map(share => reel.svg('text', {
      x: LEFT + share * (width - LEFT - 8), y: height - 1, 'text-anchor': share === 0 ? 'start' : share === 1 ? 'end' : 'middle',
    }, reel.clock(share * plot.seconds)));
    svg = reel.drawing(width, height, 'quality and bit rate over time', shown.map((measure, at) => panel(measure, at, width)), scale, cursor);
    svg.addEventListener('pointermove', tell);
    svg.addEventListener('pointerleave', () => { readout.textContent = ''; });
    if (onSeek) {
      svg.classList.add('seekable');
      svg.addEventListener('click', event => onSeek(timeOf(event)));
    }
    mark(marked);
    return svg;
  };
  const line = (rendition, number) => reel.el('span', null, reel.svg('svg', { width: 26, height: 8, viewBox: '0 0 26 8', 'aria-hidden': 'true' },
    reel.svg('path', { class: `curve curve-${number % 6 + 1}`, d: 'M0 4h26' })), `${rendition.name} ${rendition.width}×${rendition.height}`);
  const swatch = (kind, words) => reel.el('span', null, reel.svg('svg', { width: 12, height: 12, 'aria-hidden': 'true' },
    reel.svg('rect', { class: kind, width: 12, height: 12 })), words);
  const stretches = ['black', 'frozen'].filter(kind => plot[kind].length > 0);
  const joins = Math.max(...plot.renditions.map(rendition => rendition.joins.length));
  const legend = reel.el('div', { class: 'legend' }, plot.renditions.map(line),
    reel.el('span', null, reel.svg('svg', { width: 8, height: 12, 'aria-hidden': 'true' }, reel.svg('path', { class: 'join', d: 'M4 0v12' })),
      joins > 0 ? `${joins} joins of ${joins + 1} parts` : 'one part'),
    stretches.map(kind => swatch(kind, kind)));
  const element = reel.el('div', { class: 'quality' }, legend, reel.fit(draw), readout);
  element.mark = mark;
  return element;
};

const MOST_NAMES = 50;
const LOST = 'of attempts that ended without their result';
const money = micros => reel.money(micros) || '0.00';

/** Attempts summed up by what `name` makes of them, the most expensive first, then by time. */
const sums = (attempts, name) => {
  const groups = new Map();
  for (const attempt of attempts) {
    const key = name(attempt);
    const sum = groups.get(key) ?? { name: key, attempts: 0, done: 0, gone: 0, failed: 0, ms: 0, lostMs: 0, micros: 0, lostMicros: 0 };
    const [ms, micros, kind] = [Math.max(0, reel.number(attempt.endedMs) - reel.number(attempt.startedMs)), reel.number(attempt.costMicros), reel.outcome(attempt.outcome)];
    const lost = kind === 'done' ? 0 : 1;
    sum.attempts += 1;
    sum[kind] += 1;
    sum.ms += ms;
    sum.micros += micros;
    sum.lostMs += lost * ms;
    sum.lostMicros += lost * micros;
    groups.set(key, sum);
  }
  return [...groups.values()].sort((one, other) => other.micros - one.micros || other.ms - one.ms);
};

/** What attempts took, by stage, pool and worker: how many, how they ended, how long, of that without a result, and money. */
reel.costs = attempts => {
  const priced = attempts.some(attempt => reel.number(attempt.costMicros) > 0);
  const table = (what, name) => {
    const all = sums(attempts, name);
    const number = name => ({ name, number: true });
    const columns = [{ name: what }, number('attempts'), number('done'), number('preempted'), number('failed'), number('time'), { ...number('time lost'), title: LOST }]
      .concat(priced ? [number('cost'), { ...number('cost lost'), title: LOST }] : []);
    const rows = all.slice(0, MOST_NAMES).map(sum => [sum.name, sum.attempts, sum.done, sum.gone, sum.failed, reel.span(sum.ms), reel.span(sum.lostMs)].map(String)
      .concat(priced ? [money(sum.micros), money(sum.lostMicros)] : []));
    const more = all.length - rows.length;
    return [reel.el('h3', null, `by ${what}`), reel.el('div', { class: 'scroll' }, reel.table(columns, rows)), more > 0 && reel.el('p', { class: 'faint' }, `and ${more} more`)];
  };
  return reel.el('div', { class: 'costs' },
    table('stage', attempt => reel.word(attempt.task?.stage, 'STAGE_')),
    table('pool', attempt => reel.word(attempt.pool, 'POOL_') || 'on-demand'),
    table('worker', attempt => attempt.worker ?? ''),
    !priced && reel.el('p', { class: 'faint' }, 'no prices are set'));
};
