// Reads playlists with hls-parser, which refuses what breaks a rule, and manifests with mpd-parser; prints what they hold as JSON, one entry
// for each.
//
//   node manifests.mjs MODULES FILE...

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [modules, ...files] = process.argv.slice(2);
const require = createRequire(join(modules, 'package.json'));
const hls = require('hls-parser');
hls.setOptions({ strictMode: true });

const pick = (from, names) => Object.fromEntries(names.map(name => [name, from[name]]));

function playlist(text) {
  const read = hls.parse(text);
  if (read.isMasterPlaylist) {
    const { variants } = read;
    return { variants: variants.map(variant => ({
      ...pick(variant, ['uri', 'bandwidth', 'averageBandwidth', 'codecs', 'resolution', 'frameRate', 'isIFrameOnly']),
      audio: variant.audio.map(track => pick(track, ['name', 'language', 'uri'])),
      subtitles: variant.subtitles.map(track => pick(track, ['name', 'language', 'uri'])),
    })) };
  }
  const { segments, targetDuration, endlist, isIFrame, playlistType } = read;
  const seconds = segments.reduce((sum, segment) => sum + segment.duration, 0);
  const key = segments.at(-1)?.key;
  return {
    segments: segments.map(segment => segment.uri), seconds, targetDuration, endlist, isIFrame, playlistType, map: segments[0]?.map?.uri,
    key: key && pick(key, ['method', 'format']),
  };
}

function manifest(text) {
  const complaints = [];
  const read = require('mpd-parser').parse(text, { manifestUri: 'https://h/', eventHandler: ({ type, message }) => complaints.push(`${type}: ${message}`) });
  const groups = Object.values(read.mediaGroups).flatMap(group => Object.values(group)).flatMap(group => Object.values(group));
  const playlists = [...read.playlists, ...groups.flatMap(group => group.playlists)];
  return { complaints, duration: read.duration, playlists: playlists.map(list => ({
    name: list.attributes.NAME, bandwidth: list.attributes.BANDWIDTH, codecs: list.attributes.CODECS, height: list.attributes.RESOLUTION?.height,
    segments: list.segments.map(segment => segment.resolvedUri), seconds: list.segments.reduce((sum, segment) => sum + segment.duration, 0),
    map: list.segments[0]?.map?.resolvedUri, protection: Object.keys(list.contentProtection ?? {}),
  })) };
}

const read = name => {
  const text = readFileSync(name, 'utf8');
  return { name, ...(name.endsWith('.mpd') ? manifest(text) : playlist(text)) };
};
process.stdout.write(JSON.stringify(files.map(read)));
