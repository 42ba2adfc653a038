'use strict';

// The fleet: a heat map of all, and a list.

const stateOf = worker => reel.word(worker.state, 'WORKER_STATE_') || 'unknown';
const poolOf = worker => worker.pool === 'POOL_SPOT' ? 'spot' : 'on-demand';
const slotsOf = worker => `${reel.number(worker.running)}/${reel.number(worker.slots)}`;

/** How a worker's cell looks. */
const heat = worker => {
  if (['WORKER_STATE_SILENT', 'WORKER_STATE_QUARANTINED'].includes(worker.state)) return 'away';
  if (['WORKER_STATE_DRAINING', 'WORKER_STATE_CORDONED'].includes(worker.state)) return 'held';
  if (!worker.running) return 'idle';
  return worker.running < worker.slots ? 'working' : 'full';
};

const HEAT = [['idle', 'idle'], ['working', 'at work'], ['full', 'full'], ['held', 'held back'], ['away', 'silent or quarantined']];

/** A cell for each worker, however many there are: { element, show(workers) }. */
reel.heat = () => {
  let [workers, kinds, columns] = [[], [], 1];
  const readout = reel.el('output', { class: 'readout' });
  const legend = reel.el('div');
  const draw = width => {
    if (kinds.length === 0) return reel.el('p', { class: 'faint' }, 'the farm has no worker: start one with `reel worker start`');
    const size = kinds.length > 3000 ? 5 : kinds.length > 500 ? 9 : 14;
    columns = Math.max(1, Math.floor(width / size));
    return reel.cells(kinds, columns, `${kinds.length} workers`);
  };
  const map = reel.fit(draw);
  map.addEventListener('pointermove', event => {
    const box = map.getBoundingClientRect();
    const cell = box.width / columns;
    const worker = workers[Math.floor((event.clientY - box.top) / cell) * columns + Math.floor((event.clientX - box.left) / cell)];
    readout.textContent = worker ? `${worker.name}: ${stateOf(worker)}, ${slotsOf(worker)} slots, ${poolOf(worker)}${worker.load ? `, ${worker.load.cpuPercent ?? 0} % cpu` : ''}` : '';
  });
  map.addEventListener('pointerleave', () => { readout.textContent = ''; });
  const show = now => {
    workers = now;
    const next = now.map(heat);
    if (next.join() === kinds.join() && map.childElementCount > 0) return;
    kinds = next;
    map.redraw();
    const counted = reel.legend(HEAT.map(([kind, words]) => [kind, `${kinds.filter(one => one === kind).length} ${words}`]));
    counted.append(readout);
    legend.replaceChildren(counted);
  };
  return { element: reel.el('div', { class: 'heat' }, map, legend), show };
};

const STATE_CSS = { ready: 'good', draining: 'odd', cordoned: 'odd', silent: 'bad', quarantined: 'bad' };
const share = load => reel.percent(reel.number(load.memoryUsed), reel.number(load.memoryTotal));
const ofLoad = of => worker => worker.load ? of(worker.load) : '–';

reel.workersPage = () => {
  const map = reel.heat();
  const list = new reel.List({
    key: worker => worker.name, text: worker => `${worker.name} ${stateOf(worker)} ${poolOf(worker)}`, most: 200, empty: '',
    columns: [
      { name: 'name', cell: worker => worker.name, value: worker => worker.name },
      { name: 'state', cell: worker => ({ text: stateOf(worker), css: STATE_CSS[stateOf(worker)] }), value: stateOf },
      { name: 'pool', cell: poolOf, value: poolOf },
      { name: 'slots', number: true, cell: slotsOf, value: worker => worker.running ?? 0 },
      { name: 'cpu', number: true, cell: ofLoad(load => `${load.cpuPercent ?? 0} %`), value: worker => worker.load?.cpuPercent ?? -1 },
      { name: 'memory', number: true, cell: ofLoad(load => `${share(load)} %`), value: worker => worker.load ? share(worker.load) : -1 },
      { name: 'scratch', title: 'space left for runners', number: true, cell: ofLoad(load => reel.bytes(reel.number(load.scratchFree))), value: worker => reel.number(worker.load?.scratchFree) },
      { name: 'preempted', number: true, cell: worker => String(reel.number(worker.preemptions)), value: worker => reel.number(worker.preemptions) },
      { name: 'an hour', title: 'what its host costs', number: true, cell: worker => reel.money(reel.number(worker.priceMicros)), value: worker => reel.number(worker.priceMicros) },
    ],
  });
  return {
    name: 'workers', element: reel.el('div', null, reel.el('h1', null, 'Workers'), map.element, list.element),
    show: ({ overview }, _, filter) => {
      map.show(overview.workers ?? []);
      list.show(overview.workers ?? [], filter);
    },
  };
};
