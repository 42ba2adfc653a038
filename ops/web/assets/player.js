'use strict';

// A player of finished titles: HLS with CMAF over Media Source Extensions, or single files where there is nothing else.

/** Seconds that are read ahead, and kept of what was shown. */
const [AHEAD, BEHIND] = [12, 8];
/** Renditions higher than this are not what a preview begins with. */
const USUAL_HEIGHT = 720;

const MASTER = 'master.m3u8';
const ENCRYPTED = 'encrypted titles cannot be previewed';

/** Attributes of an HLS tag (RFC 8216, section 4.2). */
const attributes = line => Object.fromEntries([...line.matchAll(/([A-Z0-9-]+)=("[^"]*"|[^,]*)/g)].map(([, name, value]) => [name, value.replace(/^"|"$/g, '')]));

const isEncrypted = text => /^#EXT-X-(SESSION-)?KEY:(?!METHOD=NONE)/m.test(text);
const isSound = codec => /^(mp4a|opus|fLaC|ac-3|ec-3)/i.test(codec);

/** Renditions and sound tracks of a multivariant playlist; a rendition that comes with several sounds is one. */
reel.masterPlaylist = (text, base) => {
  const lines = text.split(/\r?\n/);
  const renditions = new Map();
  const codecs = new Map();
  lines.forEach((line, at) => {
    if (!line.startsWith('#EXT-X-STREAM-INF:')) return;
    const { CODECS = '', RESOLUTION = '', AUDIO } = attributes(line);
    const uri = new URL(lines[at + 1], base).href;
    const [sound, picture] = [CODECS.split(',').filter(isSound), CODECS.split(',').filter(codec => !isSound(codec))];
    if (AUDIO && sound.length > 0) codecs.set(AUDIO, sound[0]);
    const height = Number(RESOLUTION.split('x')[1]);
    if (!renditions.has(uri)) renditions.set(uri, { uri, height, name: lines[at + 1].split('/').at(-2) ?? RESOLUTION, type: `video/mp4; codecs="${picture.join(',')}"` });
  });
  const sounds = lines.filter(line => /^#EXT-X-MEDIA:.*TYPE=AUDIO/.test(line)).map(attributes).filter(one => one.URI).map(one => ({
    uri: new URL(one.URI, base).href, name: [one.NAME, one.LANGUAGE].filter(Boolean).join(', '), type: `audio/mp4; codecs="${codecs.get(one['GROUP-ID']) ?? 'mp4a.40.2'}"`,
  }));
  return { renditions: [...renditions.values()], sounds };
};

/** `length@offset`, or `length` behind what came before. */
const byteRange = (text, before) => {
  const [length, offset] = text.split('@').map(Number);
  return { first: offset ?? before, end: (offset ?? before) + length };
};

/** The segments of a media playlist and what initializes them: { init, segments: [{ url, range, start, end }], seconds }. */
reel.mediaPlaylist = (text, base) => {
  const playlist = { init: null, segments: [], seconds: 0 };
  let [seconds, range, end] = [0, null, 0];
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('#EXT-X-MAP:')) {
      const { URI, BYTERANGE } = attributes(line);
      playlist.init = { url: new URL(URI, base).href, range: BYTERANGE ? byteRange(BYTERANGE, 0) : null };
    } else if (line.startsWith('#EXTINF:')) {
      seconds = parseFloat(line.slice(8));
    } else if (line.startsWith('#EXT-X-BYTERANGE:')) {
      range = byteRange(line.slice(17), end);
      end = range.end;
    } else if (line && !line.startsWith('#')) {
      const start = playlist.seconds;
      playlist.seconds += seconds;
      playlist.segments.push({ url: new URL(line, base).href, range, start, end: playlist.seconds });
      range = null;
    }
  }
  return playlist;
};

const fetched = async (url, range, signal) => {
  const headers = range ? { range: `bytes=${range.first}-${range.end - 1}` } : {};
  const response = await fetch(url, { headers, signal });
  if (!response.ok) throw new Error(`${new URL(url).pathname}: ${response.status}`);
  const bytes = await response.arrayBuffer();
  // A server that knows no ranges sends everything.
  return range && response.status === 200 ? bytes.slice(range.first, range.end) : bytes;
};

/** Keeps a source buffer filled around where the video is. */
class Feed {
  constructor(video, buffer, tell) {
    Object.assign(this, { video, buffer, tell, playlist: null, next: 0, change: null, isOther: false, asking: null, closed: false, wake: () => {} });
  }

  /** Whether everything up to the end was appended. */
  get isWhole() { return this.playlist !== null && !this.change && this.next >= this.playlist.segments.length; }

  get isBuffered() {
    const { buffered } = this.buffer;
    return [...Array(buffered.length).keys()].some(at => buffered.start(at) - 0.1 <= this.video.currentTime && this.video.currentTime < buffered.end(at));
  }

  /** Begins anew, with another playlist or at another time. */
  restart(change) {
    this.change = { ...this.change, ...change };
    this.asking?.abort();
    this.wake();
  }

  seek() { if (this.playlist && !this.isBuffered) this.restart({}); else this.wake(); }

  close() {
    this.closed = true;
    this.asking?.abort();
    this.wake();
  }

  done() {
    return new Promise((resolve, reject) => {
      this.buffer.onupdateend = resolve;
      this.buffer.onerror = () => reject(new Error('the browser cannot decode it'));
    });
  }

  async append(bytes) {
    const done = this.done();
    this.buffer.appendBuffer(bytes);
    await done;
  }

  async remove(start, end) {
    if (end <= start || this.buffer.buffered.length === 0) return;
    const done = this.done();
    this.buffer.remove(start, end);
    await done;
  }

  async begin() {
    const { playlist = this.playlist, type } = this.change;
    this.change = null;
    await this.remove(0, Infinity);
    if (type) this.buffer.changeType(type);
    Object.assign(this, { playlist, isOther: Boolean(type) });
    const at = playlist.segments.findIndex(segment => segment.end > this.video.currentTime);
    this.next = at < 0 ? playlist.segments.length : at;
    await this.append(await fetched(playlist.init.url, playlist.init.range, this.asking.signal));
  }

  async step() {
    this.asking = new AbortController();
    if (this.change) await this.begin();
    const segment = this.playlist.segments[this.next];
    const bytes = await fetched(segment.url, segment.range, this.asking.signal);
    await this.remove(0, this.video.currentTime - BEHIND);
    if (this.change) return;
    await this.append(bytes);
    this.next += 1;
    // A video that stands still goes on showing what it showed.
    if (this.isOther) this.video.currentTime = this.video.currentTime;
    this.isOther = false;
  }

  /** Reads on until it is closed. */
  async run() {
    while (!this.closed) {
      const segment = this.playlist?.segments[this.next];
      if (this.change || segment && segment.start < this.video.currentTime + AHEAD) {
        try {
          await this.step();
        } catch (error) {
          if (error.name !== 'AbortError') return this.closed || this.tell(error);
        }
      } else {
        await new Promise(resolve => { this.wake = resolve; });
      }
    }
  }
}

/** What to choose from; `choose(entry)` hears of it. Entries that the browser cannot decode are shown and cannot be chosen. */
const picker = (label, entries, chosen, choose) => reel.el('label', null, `${label} `, reel.el('select', {
  onchange: event => choose(entries[event.target.selectedIndex]),
}, entries.map(entry => reel.el('option', { selected: entry === chosen, disabled: !entry.isPlayed },
  entry.isPlayed ? entry.name : `${entry.name}: not by this browser`))));

const textOf = async url => new TextDecoder().decode(await fetched(url, null));

/** Plays a title of HLS on a video. */
const playStreams = async (video, base, tell) => {
  const master = await textOf(new URL(MASTER, base).href);
  if (isEncrypted(master)) throw new Error(ENCRYPTED);
  const { renditions, sounds } = reel.masterPlaylist(master, base);
  for (const one of [...renditions, ...sounds]) one.isPlayed = MediaSource.isTypeSupported(one.type);
  const played = renditions.filter(one => one.isPlayed).sort((one, other) => one.height - other.height);
  if (played.length === 0) throw new Error('this browser decodes none of its renditions');
  const first = played.findLast(one => one.height <= USUAL_HEIGHT) ?? played[0];
  const sound = sounds.find(one => one.isPlayed);
  const load = async one => {
    const listed = await textOf(one.uri);
    if (isEncrypted(listed)) throw new Error(ENCRYPTED);
    const playlist = reel.mediaPlaylist(listed, one.uri);
    if (!playlist.init) throw new Error('titles of transport streams cannot be previewed');
    return playlist;
  };
  const playlists = await Promise.all([first, sound].filter(Boolean).map(load));
  const source = new MediaSource();
  video.src = URL.createObjectURL(source);
  await new Promise(resolve => source.addEventListener('sourceopen', resolve, { once: true }));
  URL.revokeObjectURL(video.src);
  source.duration = Math.max(...playlists.map(playlist => playlist.seconds));
  const feeds = [first, sound].filter(Boolean).map(one => new Feed(video, source.addSourceBuffer(one.type), tell));
  feeds.forEach((feed, at) => feed.restart({ playlist: playlists[at] }));
  const go = () => {
    feeds.forEach(feed => feed.wake());
    const idle = feeds.every(feed => feed.isWhole && !feed.buffer.updating);
    if (idle && source.readyState === 'open') source.endOfStream();
  };
  const seek = () => feeds.forEach(feed => feed.seek());
  video.addEventListener('timeupdate', go);
  video.addEventListener('progress', go);
  video.addEventListener('seeking', seek);
  feeds.forEach(feed => { feed.run(); });
  const change = feed => async one => {
    try {
      feed.restart({ playlist: await load(one), type: one.type });
    } catch (error) {
      tell(error);
    }
  };
  const pickers = [picker('rendition', renditions, first, change(feeds[0])), sounds.length > 1 && sound && picker('sound', sounds, sound, change(feeds[1]))];
  return { pickers, close: () => feeds.forEach(feed => feed.close()) };
};

/** Plays one of the single files of a title. */
const playFiles = (video, report, base) => {
  const files = (report?.files ?? []).filter(({ path }) => /^[^/]+\.mp4$/.test(path)).map(({ path }) => ({ name: path, isPlayed: true, url: new URL(encodeURIComponent(path), base).href }));
  if (files.length === 0) throw new Error('the title has neither playlists nor files that a browser plays');
  const play = ({ url }) => {
    const time = video.currentTime;
    video.src = url;
    video.addEventListener('loadedmetadata', () => { video.currentTime = time; }, { once: true });
  };
  play(files[0]);
  return { pickers: [picker('file', files, files[0], play)], close: () => {} };
};

/** How long a frame is shown and where parts join, in seconds. */
const grid = report => {
  const [rendition] = report?.renditions ?? [];
  if (!rendition?.parts?.length) return { frame: 1 / 25, joins: [] };
  const spans = reel.spans(rendition);
  return { frame: spans.at(-1).end / Math.max(1, rendition.frames), joins: spans.slice(1).map(span => span.start) };
};

/** A player of the title at `url`, whose report is known. `onTime(seconds)` hears where it is. */
reel.player = (url, report, onTime = () => {}) => {
  const base = new URL(url, document.baseURI).href;
  const { frame, joins } = grid(report);
  const video = reel.el('video', { controls: true, playsinline: true, preload: 'auto' });
  const place = reel.el('output', { class: 'readout' });
  const status = reel.el('p', { class: 'bad', role: 'alert' });
  const pickers = reel.el('span', { class: 'pickers' });
  let [close, closed] = [() => {}, false];
  const tell = error => { status.textContent = error.message; };
  // The middle of a frame is in no doubt, whatever times are rounded to.
  const at = () => Math.floor(video.currentTime / frame + 1e-3);
  const show = number => {
    video.pause();
    video.currentTime = Math.max(0, (number + 0.5) * frame);
  };
  const seek = seconds => show(Math.floor(seconds / frame + 1e-3));
  const toJoin = forward => {
    const now = at();
    const starts = joins.map(join => Math.round(join / frame));
    const found = forward ? starts.find(start => start > now) : starts.findLast(start => start < now);
    if (found !== undefined) show(found);
  };
  const button = (words, title, act) => reel.el('button', { type: 'button', title, onclick: act }, words);
  const keys = { ',': () => show(at() - 1), '.': () => show(at() + 1), '[': () => toJoin(false), ']': () => toJoin(true) };
  const element = reel.el('div', { class: 'player', onkeydown: event => keys[event.key]?.() }, video, reel.el('div', { class: 'controls' },
    button('◂ join', 'to the join before: [', keys['[']), button('◂ frame', 'a frame back: ,', keys[',']), button('frame ▸', 'a frame on: .', keys['.']), button('join ▸', 'to the next join: ]', keys[']']), pickers), place, status);
  for (const name of ['timeupdate', 'seeked']) {
    video.addEventListener(name, () => {
      place.textContent = `${reel.clock(video.currentTime)}, frame ${reel.count(at())}`;
      onTime(video.currentTime);
    });
  }
  video.addEventListener('error', () => video.error && !closed && tell(new Error(`it does not play: ${video.error.message}`)));
  const open = async () => {
    const isStreamed = (report?.files ?? []).some(({ path }) => path === MASTER);
    const playing = isStreamed ? await playStreams(video, base, tell) : playFiles(video, report, base);
    if (closed) return playing.close();
    close = playing.close;
    pickers.append(...playing.pickers.filter(Boolean));
  };
  open().catch(tell);
  return {
    element, seek,
    close: () => {
      closed = true;
      close();
      video.removeAttribute('src');
      video.load();
    },
  };
};
