'use strict';

// What happens, line by line, the newest first.

const eventCss = event => {
  switch (event.event) {
    case 'part-committed': return 'good';
    case 'job-changed': return event.state === 'failed' ? 'bad' : event.state === 'done' ? 'good' : null;
    case 'attempt-ended': return { done: 'good', gone: 'odd', failed: 'bad' }[reel.outcome(event.outcome)];
    case 'worker-gone': case 'worker-held': case 'worker-leaves': case 'task-skipped': return 'odd';
    default: return null;
  }
};

/** What an event says, as `key=value`. */
const fieldsOf = event => Object.entries(event).filter(([key]) => !['number', 'at_ms', 'event', 'key'].includes(key))
  .map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`).join(' ');

const jobOf = event => event.job ?? event.task?.split('/')[0];

reel.eventsPage = () => {
  const list = new reel.List({
    key: event => event.key, text: event => `${event.event} ${fieldsOf(event)}`, most: 500, empty: 'nothing has happened since this scheduler began',
    columns: [
      { name: 'time', cell: event => reel.time(event.at_ms) },
      { name: 'job', number: true, cell: event => jobOf(event) ? { text: String(jobOf(event)), href: `#/jobs/${jobOf(event)}` } : '' },
      { name: 'event', cell: event => ({ text: event.event, css: eventCss(event) }) },
      { name: '', long: true, cell: fieldsOf },
    ],
  });
  return {
    name: 'events', element: reel.el('div', null, reel.el('h1', null, 'Events'), list.element),
    ask: () => reel.ask('events'),
    show: (_, { events }, filter) => {
      // One change may have several events.
      let [number, nth] = [null, 0];
      const keyed = events.map(event => {
        [number, nth] = [event.number, event.number === number ? nth + 1 : 0];
        return { ...event, key: `${number}.${nth}` };
      });
      list.show(keyed.reverse(), filter);
    },
  };
};
