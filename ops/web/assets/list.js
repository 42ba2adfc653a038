'use strict';

// Lists that are updated in place, filtered, and sorted by a column.

/** Whether a text has all words of a filter. */
reel.passes = (filter, text) => {
  const lower = text.toLowerCase();
  return filter.toLowerCase().split(/\s+/).every(word => lower.includes(word));
};

/** Puts what a cell says into it, where that has changed: a text, or { text, css, href, percent, title }. */
const writeCell = (cell, content) => {
  const said = typeof content === 'string' ? content : JSON.stringify(content);
  if (cell.said === said) return;
  cell.said = said;
  if (typeof content === 'string') {
    cell.textContent = content;
    return;
  }
  const { text, css, href, percent, title } = content;
  cell.replaceChildren();
  reel.fill(cell, null, [
    percent !== undefined && reel.el('progress', { max: 100, value: percent, 'aria-label': text }),
    href ? reel.el('a', { href, class: css, title }, text) : reel.el('span', { class: css, title }, text),
  ]);
};

/**
 * A list. `columns` are { name, number, long, cell: row => content, value: row => what it is sorted by }; `key(row)` tells rows
 * apart, `text(row)` is what a filter looks at. At most `most` rows are shown.
 */
reel.List = class {
  constructor({ columns, key, text, most, empty }) {
    Object.assign(this, { columns, key, text, most, empty, rows: [], filter: '', order: null, known: new Map(), shown: '' });
    this.heads = columns.map((column, at) => reel.el('th', { scope: 'col', class: column.number && 'number', title: column.title },
      column.value ? reel.el('button', { type: 'button', onclick: () => this.sort(at) }, column.name) : column.name));
    this.body = reel.el('tbody');
    this.note = reel.el('p', { class: 'faint' });
    this.element = reel.el('div', { class: 'list' }, reel.el('div', { class: 'scroll' },
      reel.el('table', null, reel.el('thead', null, reel.el('tr', null, this.heads)), this.body)), this.note);
  }

  /** By this column; the other way round where it was sorted by it; as rows come where it was so, too. */
  sort(at) {
    const turned = this.order?.at === at;
    this.order = turned && this.order.down ? null : { at, down: turned };
    this.heads.forEach((head, number) => {
      if (this.order?.at === number) head.setAttribute('aria-sort', this.order.down ? 'descending' : 'ascending');
      else head.removeAttribute('aria-sort');
    });
    this.show(this.rows);
  }

  row(row) {
    const key = this.key(row);
    const element = this.known.get(key) ?? reel.el('tr', null, this.columns.map(({ number, long }) =>
      reel.el('td', { class: number ? 'number' : long && 'long' })));
    this.columns.forEach(({ cell }, at) => writeCell(element.children[at], cell(row)));
    return [key, element];
  }

  show(rows, filter = this.filter) {
    Object.assign(this, { rows, filter });
    const passing = filter ? rows.filter(row => reel.passes(filter, this.text(row))) : [...rows];
    if (this.order) {
      const { value } = this.columns[this.order.at];
      const compare = (one, other) => typeof one === 'string' ? one.localeCompare(other, 'en', { numeric: true }) : one - other;
      const sign = this.order.down ? -1 : 1;
      passing.sort((one, other) => sign * compare(value(one), value(other)));
    }
    this.known = new Map(passing.slice(0, this.most).map(row => this.row(row)));
    const shown = [...this.known.keys()].join(' ');
    if (shown !== this.shown) {
      const focused = document.activeElement;
      this.body.replaceChildren(...this.known.values());
      if (this.body.contains(focused)) focused.focus();
      this.shown = shown;
    }
    const more = passing.length - this.known.size;
    this.note.textContent = rows.length === 0 ? this.empty : passing.length === 0 ? 'nothing passes the filter' : more > 0 ? `and ${more} more: filter to see them` : '';
  }
};
