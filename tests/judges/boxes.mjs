// Reads tracks and files with mp4box.js and prints what it found as JSON, one entry for each.
//
//   node boxes.mjs MODULES FILE...
//
// MODULES is the folder of the npm packages. A FILE may be several, joined by commas: an init segment and the segments behind it.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [modules, ...files] = process.argv.slice(2);
const { createFile, Log } = createRequire(join(modules, 'package.json'))('mp4box');

const complaints = [];
for (const level of ['warn', 'error']) Log[level] = (module, text) => complaints.push(`${module}: ${text}`);

/** A box as its parser left it; those without one keep their bytes in `data`, and `has_unparsed_data` tells of bytes that were left. */
function tree(box) {
  const { type, size, start } = box;
  const known = box.constructor.name !== 'Box' && !/unknown/i.test(box.constructor.name);
  const numbers = value => Array.isArray(value) && value.every(each => typeof each === 'number');
  const plain = ([key, value]) => ['number', 'string', 'boolean'].includes(typeof value) || (numbers(value) && key !== 'boxes');
  const fields = Object.fromEntries(Object.entries(box).filter(plain));
  const boxes = [...(box.boxes ?? []), ...(box.entries ?? []).filter(entry => entry?.type && entry?.size)];
  return { type, size, start, known, unparsed: Boolean(box.has_unparsed_data), fields, boxes: boxes.map(tree) };
}

function read(name) {
  complaints.length = 0;
  const file = createFile();
  const errors = [];
  file.onError = (module, text) => errors.push(`${module}: ${text}`);
  const bytes = Buffer.concat(name.split(',').map(path => readFileSync(path)));
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  buffer.fileStart = 0;
  file.appendBuffer(buffer, true);
  file.flush();
  const tracks = file.getInfo().tracks.map(track => {
    const samples = file.getTrackById(track.id).samples;
    const { id, codec, timescale, language, nb_samples } = track;
    const last = samples.at(-1);
    return {
      id, codec, timescale, language, count: nb_samples,
      bytes: samples.reduce((sum, sample) => sum + sample.size, 0),
      begins: samples[0]?.dts, ends: last && last.dts + last.duration,
      sync: samples.filter(sample => sample.is_sync).length,
      fits: samples.every(sample => sample.offset + sample.size <= bytes.length),
    };
  });
  return { name, length: bytes.length, errors, complaints: [...complaints], tracks, boxes: file.boxes.map(tree) };
}

process.stdout.write(JSON.stringify(files.map(read)));
