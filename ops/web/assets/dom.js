'use strict';

// Elements without markup: whatever the farm says is text, never HTML.

const reel = globalThis.reel = {};

/** Puts attributes and children into an element; `on..` are listeners, what is null or false is left out. */
reel.fill = (element, attributes, children) => {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== false));
  return element;
};

/** An element of HTML: `reel.el('td', { class: 'number' }, '12')`. */
reel.el = (name, attributes, ...children) => reel.fill(document.createElement(name), attributes, children);

/** An element of SVG. */
reel.svg = (name, attributes, ...children) =>
  reel.fill(document.createElementNS('http://www.w3.org/2000/svg', name), attributes, children);

/** A table: `columns` of { name, number, long, title }, `rows` of cells (texts or elements), or of { cells, ...attributes }. */
reel.table = (columns, rows, attributes) => {
  const heads = columns.map(({ name, number, title }) =>
    reel.el('th', { scope: 'col', class: number && 'number', title }, name));
  const cell = (content, at) => reel.el('td', { class: columns[at].number ? 'number' : columns[at].long && 'long' }, content);
  const body = rows.map(row => {
    const { cells, ...own } = Array.isArray(row) ? { cells: row } : row;
    return reel.el('tr', own, cells.map(cell));
  });
  return reel.el('table', attributes, reel.el('thead', null, reel.el('tr', null, heads)), reel.el('tbody', null, body));
};
