'use strict';

// A finished title on the page of its job: how good it is, and how it looks.

/** Shows the title of a job: { element, close() }. */
reel.title = job => {
  const element = reel.el('div', { id: 'title' });
  let [player, closed] = [null, false];
  const open = async () => {
    const { url, reason } = await reel.ask(`jobs/${job}/title`);
    if (!url) throw new Error(reason);
    const response = await fetch(`${url}report.json`);
    if (!response.ok) throw new Error(`the title has no report that could be read: ${response.status}`);
    const report = reel.parse(await response.text());
    if (closed) return;
    const curves = reel.quality(report, seconds => player.seek(seconds));
    player = reel.player(url, report, seconds => curves.mark?.(seconds));
    const titled = (name, content) => [reel.el('h2', null, name), content];
    element.append(...[
      titled('Preview', player.element), titled('Quality and bit rate', curves), titled('Ladder', reel.ladder(report)),
      titled('Joins', reel.joins(report)), titled('Worst parts', reel.parts(report)), titled('Proof', reel.proof(report)),
    ].flat());
  };
  open().catch(error => { element.textContent = error.message; });
  return {
    element,
    close: () => {
      closed = true;
      player?.close();
    },
  };
};
