// What a page does with a player: one shape for hls.js, Shaka Player and dash.js.

const DEADLINE_MS = 180_000;
const video = document.getElementById('video');
const errors = [];

/** Waits until a condition holds; fails with what it was, the errors so far and where the video stands. */
async function until(what, condition) {
  const end = performance.now() + DEADLINE_MS;
  for (;;) {
    const value = condition();
    if (value) return value;
    if (performance.now() > end || video.error) {
      const ranges = [...Array(video.buffered.length).keys()];
      const buffered = ranges.map(at => [video.buffered.start(at), video.buffered.end(at)]);
      const state = { what, errors, error: video.error?.message, time: video.currentTime, buffered,
        ready: video.readyState, height: video.videoHeight,
        texts: [...video.textTracks].map(track => [track.mode, track.kind, track.label, track.cues?.length]) };
      throw new Error(`it did not happen: ${JSON.stringify(state)}`);
    }
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

const cues = () => [...video.textTracks].filter(track => track.mode !== 'disabled')
  .flatMap(track => [...(track.cues ?? [])].map(cue => cue.text));

const PLAYERS = {
  'hls.js': async (url, plan) => {
    const drm = plan.clear_keys && { emeEnabled: true };
    const hls = new Hls({ enableWorker: false, ...drm });
    // A load that a seek or switch makes needless is called an error, too.
    hls.on(Hls.Events.ERROR, (_, data) => data.details !== 'aborted'
      && errors.push(`${data.type} ${data.details} ${data.error?.message ?? ''}`));
    const parsed = new Promise(resolve => hls.on(Hls.Events.MANIFEST_PARSED, resolve));
    hls.loadSource(url);
    hls.attachMedia(video);
    await parsed;
    return {
      renditions: () => hls.levels.map(level => level.height),
      start: index => { hls.currentLevel = index; },
      change: index => { hls.nextLevel = index; },
      sounds: () => hls.audioTracks.map(track => track.lang),
      hear: index => { hls.audioTrack = index; },
      heard: () => hls.audioTrack,
      texts: () => hls.subtitleTracks.map(track => track.lang),
      read: index => { hls.subtitleTrack = index; hls.subtitleDisplay = true; },
      thumbnails: () => 0,
    };
  },
  shaka: async (url, plan) => {
    shaka.polyfill.installAll();
    const player = new shaka.Player();
    await player.attach(video);
    player.addEventListener('error', event => errors.push(`${event.detail.code} ${event.detail.data}`));
    player.configure({ abr: { enabled: false }, streaming: { bufferingGoal: 8, rebufferingGoal: 0.5 },
      drm: { clearKeys: plan.clear_keys ?? {} } });
    await player.load(url);
    const tracks = () => {
      const active = player.getVariantTracks().find(track => track.active);
      const alike = player.getVariantTracks().filter(track => track.audioId === active.audioId);
      return alike.sort((one, other) => one.height - other.height);
    };
    return {
      renditions: () => tracks().map(track => track.height),
      start: index => player.selectVariantTrack(tracks()[index], true),
      change: index => player.selectVariantTrack(tracks()[index], true, 2),
      sounds: () => player.getAudioTracks().map(track => track.language),
      hear: index => player.selectAudioTrack(player.getAudioTracks()[index]),
      heard: () => player.getAudioTracks().findIndex(track => track.active),
      texts: () => player.getTextTracks().map(track => track.language),
      read: index => player.selectTextTrack(player.getTextTracks()[index]),
      thumbnails: () => player.getImageTracks().length,
    };
  },
  'dash.js': async (url, plan) => {
    const player = dashjs.MediaPlayer().create();
    player.updateSettings({
      debug: { logLevel: dashjs.Debug.LOG_LEVEL_NONE },
      streaming: { abr: { autoSwitchBitrate: { video: false, audio: false } },
        buffer: { fastSwitchEnabled: true, bufferTimeDefault: 6, bufferTimeAtTopQuality: 6 },
        text: { defaultEnabled: false } },
    });
    player.on(dashjs.MediaPlayer.events.ERROR, event => errors.push(JSON.stringify(event.error?.message ?? event)));
    const ready = new Promise(resolve => player.on(dashjs.MediaPlayer.events.STREAM_INITIALIZED, resolve));
    player.initialize(video, undefined, false);
    if (plan.clear_keys) {
      const base64 = hex => btoa(hex.match(/../g).map(byte => String.fromCharCode(parseInt(byte, 16))).join(''))
        .replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
      const keys = Object.entries(plan.clear_keys).map(([id, key]) => [base64(id), base64(key)]);
      player.setProtectionData({ 'org.w3.clearkey': { clearkeys: Object.fromEntries(keys) } });
    }
    player.attachSource(url);
    await ready;
    const representations = () => player.getRepresentationsByType('video');
    return {
      renditions: () => representations().map(one => one.height),
      start: index => player.setRepresentationForTypeByIndex('video', index, true),
      change: index => player.setRepresentationForTypeByIndex('video', index, false),
      sounds: () => player.getTracksFor('audio').map(track => track.lang),
      hear: index => player.setCurrentTrack(player.getTracksFor('audio')[index]),
      heard: () => player.getTracksFor('audio').findIndex(track => track.id === player.getCurrentTrackFor('audio').id
        && track.index === player.getCurrentTrackFor('audio').index),
      texts: () => player.getTracksFor('text').map(track => track.lang),
      read: index => { player.enableText(true); player.setTextTrack(index); },
      thumbnails: () => player.getTracksFor('image').length,
    };
  },
};

/** The mean of red, green and blue in the middle of the picture, 0 to 255. */
function grey() {
  const canvas = Object.assign(document.createElement('canvas'), { width: 16, height: 16 });
  const context = canvas.getContext('2d');
  const { videoWidth: width, videoHeight: height } = video;
  context.drawImage(video, width / 4, height / 4, width / 2, height / 2, 0, 0, 16, 16);
  const bytes = context.getImageData(0, 0, 16, 16).data;
  return bytes.reduce((sum, byte, at) => at % 4 === 3 ? sum : sum + byte, 0) / (16 * 16 * 3);
}

/** Goes to a time and stands there. */
async function seek(time) {
  video.pause();
  video.currentTime = time;
  await until(`the picture at ${time}`, () => !video.seeking && video.readyState >= 2);
}

/** Goes to a time, and sees the frame that is on the screen then, unless it is protected: a page may not read that. */
async function look(time, isProtected) {
  if (isProtected) {
    await seek(time);
    return { time, height: video.videoHeight };
  }
  let shown = NaN;
  const isThere = () => Math.abs(shown - time) < 0.1;
  const seen = (_, frame) => {
    shown = frame.mediaTime;
    if (!isThere()) video.requestVideoFrameCallback(seen);
  };
  video.requestVideoFrameCallback(seen);
  await seek(time);
  await until(`the frame at ${time} on the screen`, isThere);
  return { time, grey: grey(), height: video.videoHeight };
}

/** Plays until a condition holds. */
async function playUntil(what, condition) {
  await video.play();
  await until(what, condition);
}

async function play(name, url, plan) {
  const driver = await PLAYERS[name](url, plan);
  await until('renditions', () => driver.renditions().length > 0);
  const heights = driver.renditions();
  const saw = { heights, seeks: [], switches: [], sounds: driver.sounds(), texts: driver.texts() };
  for (let index = 0; index < heights.length; index++) {
    await driver.start(index);
    video.currentTime = 0;
    await playUntil(`rendition ${heights[index]} plays`, () => video.currentTime > 0.5
      && video.videoHeight === heights[index]);
    for (const time of plan.seeks) saw.seeks.push(await look(time, plan.clear_keys));
  }
  // Up and down while it plays: what is decoded changes, and time goes on without a jump.
  for (const index of [0, heights.length - 1, 0]) {
    await driver.start(index);
    await seek(0);
    const to = index === 0 ? heights.length - 1 : 0;
    await playUntil('it plays before the switch', () => video.currentTime > 0.5 && video.videoHeight === heights[index]);
    await driver.change(to);
    let [last, clock, jump] = [video.currentTime, performance.now(), 0];
    await until(`a switch from ${heights[index]} to ${heights[to]}`, () => {
      const [time, now] = [video.currentTime, performance.now()];
      // A page that was not given the processor for a while has not jumped.
      jump = Math.max(jump, time - last - (now - clock) / 1000);
      [last, clock] = [time, now];
      return video.videoHeight === heights[to];
    });
    saw.switches.push({ from: heights[index], to: video.videoHeight, jump });
  }
  for (let index = saw.sounds.length - 1; index >= 0; index--) {
    await driver.hear(index);
    await until(`sound ${index}`, () => driver.heard() === index);
    const from = video.currentTime;
    await playUntil(`sound ${index} plays`, () => Math.abs(video.currentTime - from) > 0.5);
  }
  saw.read = [];
  for (let index = 0; index < saw.texts.length; index++) {
    await seek(plan.seeks[0]);
    await driver.read(index);
    await playUntil(`text ${index}`, () => cues().length > 0);
    saw.read.push(cues());
  }
  saw.thumbnails = driver.thumbnails();
  const { droppedVideoFrames: dropped, corruptedVideoFrames: corrupted, totalVideoFrames: total } =
    video.getVideoPlaybackQuality();
  await look(plan.seeks.at(-1), plan.clear_keys);
  return { ...saw, errors, duration: video.duration, dropped, corrupted, total };
}

/** Plays a title that grows from its beginning, tells how that went, and watches it to its end. */
async function watch(name, url, plan, tell) {
  const driver = await PLAYERS[name](url, plan);
  await until('renditions', () => driver.renditions().length > 0);
  let first = NaN;
  video.requestVideoFrameCallback((_, frame) => { first = frame.mediaTime; });
  await playUntil('the beginning plays', () => video.currentTime > 1);
  await tell({ first, time: video.currentTime });
  await until('the title is whole', () => Math.abs(video.duration - plan.watch) < 0.1 && reachable() > plan.watch - 1);
  const end = await look(plan.seeks.at(-1), plan.clear_keys);
  await playUntil('it ends', () => video.ended);
  // Who watches faster than is encoded has to wait.
  return { end, errors: errors.filter(error => !error.includes('bufferStalledError')), duration: video.duration };
}

/** How far a player lets one go. */
const reachable = () => video.seekable.length ? video.seekable.end(video.seekable.length - 1) : 0;
