'use strict';

// What a title is, by its report: ladder, parts, joins, proof.

const known = (value, digits) => Number.isFinite(value) ? value.toFixed(digits) : '–';
const kbps = (bytes, seconds) => seconds > 0 ? Math.round(bytes * 8 / seconds / 1000) : NaN;
const column = name => ({ name });
const figure = (name, title) => ({ name, number: true, title });

/** A table without the columns of which nothing is known. */
const titled = (columns, rows) => {
  const kept = columns.map((_, at) => rows.some(row => row[at] !== '–'));
  return reel.el('div', { class: 'scroll' }, reel.table(columns.filter((_, at) => kept[at]), rows.map(row => row.filter((_, at) => kept[at]))));
};

/** The beginning of a digest, which tells it from others; all of it is its title. */
reel.digest = sha256 => sha256 ? reel.el('span', { class: 'digest', title: sha256 }, sha256.slice(0, 12)) : '–';

/** What the profile asks of each rendition, by name: the keys of its `[[video]]` tables as they are written. */
reel.asked = text => {
  const tables = (text ?? '').split(/^\s*\[\[video\]\]/m).slice(1).map(table => table.split(/^\s*\[\[?(?!video\.)/m)[0]);
  return new Map(tables.map(table => {
    const value = (key, pattern) => new RegExp(`^\\s*${key}\\s*=\\s*${pattern}`, 'm').exec(table)?.[1] ?? '';
    const rate = [...value('rate', '\\{([^}]*)\\}').matchAll(/(\w+)\s*=\s*([\d.]+)/g)];
    const words = rate.map(([, key, value]) => `${key.replace('_kbps', '')} ${Number(value)}`);
    return [value('name', '"([^"]*)"'), { codec: value('codec', '"([^"]*)"'), rate: words.join(', ') }];
  }));
};

/** What a rendition was to come to, where that is not a rate factor. */
const goal = (found, seconds) => {
  if (found?.target_bytes) return `${reel.count(kbps(found.target_bytes, seconds))} kbit/s`;
  if (found?.target_psnr_db) return `PSNR ${found.target_psnr_db} dB`;
  if (found?.target_ssim) return `SSIM ${found.target_ssim}`;
  return found?.target_vmaf ? `VMAF ${found.target_vmaf}` : '';
};

const least = (parts, key) => parts.reduce((least, part) => Number.isFinite(part[key]) ? Math.min(least, part[key]) : least, Infinity);

/** Renditions and tracks. */
reel.ladder = report => {
  const asked = reel.asked(report.profile?.text);
  const curves = reel.curves(report);
  const files = new Map((report.files ?? []).map(file => [file.path, file.sha256]));
  const rows = (report.renditions ?? []).map((rendition, at) => {
    const { name, parts = [], width, height, frames, bytes, sample_bytes: samples } = rendition;
    const { seconds } = curves.renditions[at];
    const { codec, rate } = asked.get(name) ?? {};
    return [name, codec || '–', `${width}×${height}`, goal(rendition.rate, seconds) || rate || '–',
      reel.count(kbps(samples ?? bytes, seconds)), reel.count((rendition.peak_segment_bps ?? 0) / 1000), reel.bytes(bytes),
      known(rendition.psnr_db, 2), known(least(parts, 'psnr_db'), 2),
      known(rendition.ssim, 4), known(rendition.worst_frame_ssim, 4),
      known(rendition.vmaf, 1), known(rendition.worst_frame_vmaf, 1),
      String(parts.length), reel.count(frames), reel.digest(files.get(`${name}.mp4`) ?? (parts.length === 1 ? parts[0].sha256 : ''))];
  });
  const columns = [column('rendition'), column('codec'), column('size'), { name: 'asked for', title: 'rates in kbit/s' },
    figure('kbit/s', 'mean of its coded frames'), figure('peak', 'kbit/s of the largest segment'), figure('bytes'),
    figure('PSNR', 'dB, mean of its frames'), figure('worst part', 'dB'), figure('SSIM', 'mean of its frames'), figure('worst frame'),
    figure('VMAF', 'mean of its frames'), figure('worst frame'), figure('parts'), figure('frames'), { name: 'SHA-256', title: 'of its single file, or of its only part' }];
  const tracks = (report.audio ?? []).map(track => [track.name, track.codec, track.language ?? '', String(track.channels), reel.count(track.sample_rate),
    reel.count(kbps(track.bytes, track.samples / track.sample_rate)), reel.bytes(track.bytes), known(track.loudness_lufs, 1), known(track.true_peak_dbtp, 1), known(track.gain_db, 1), reel.digest(track.sha256)]);
  return reel.el('div', { class: 'ladder' }, titled(columns, rows), tracks.length > 0 && titled(
    [column('track'), column('codec'), column('language'), figure('channels'), figure('Hz'), figure('kbit/s'), figure('bytes'), figure('LUFS', 'before its gain'), figure('dBTP', 'before its gain'), figure('gain dB'), column('SHA-256')], tracks));
};

const MOST_WORST = 12;

/** The measure by which parts are compared: VMAF where it was measured. */
const measure = report => reel.MEASURES.find(({ key }) => key !== 'rate' && report.renditions?.some(one => one.parts?.some(part => Number.isFinite(part[key]))));

/** Every part of every rendition with its time. */
const everyPart = report => (report.renditions ?? []).flatMap(rendition => {
  const spans = reel.spans(rendition);
  return (rendition.parts ?? []).map((part, at) => ({ rendition, part, at, ...spans[at] }));
});

/** The parts of the lowest quality. */
reel.parts = report => {
  const by = measure(report);
  if (!by) return reel.el('p', { class: 'faint' }, 'no quality was measured');
  const made = new Map((report.job?.parts ?? []).map(part => [part.part, part.worker]));
  const all = everyPart(report).filter(({ part }) => Number.isFinite(part[by.key]));
  const worst = all.sort((one, other) => one.part[by.key] - other.part[by.key]).slice(0, MOST_WORST);
  const rows = worst.map(({ rendition, part, start, end }) => [rendition.name, String(part.part ?? '–'), reel.clock(start), reel.count(part.frames),
    known(part.vmaf, 1), known(part.worst_frame_vmaf, 1), known(part.psnr_db, 2), known(part.ssim, 4), known(part.worst_frame_ssim, 4),
    reel.count(kbps(part.bytes, end - start)), known(part.worst_difference_ppm / 1e4, 3), made.get(part.part) ?? '–', reel.digest(part.sha256)]);
  return reel.el('div', { class: 'parts' }, reel.el('p', { class: 'faint' }, `the ${rows.length} of ${all.length} with the lowest ${by.name}`), titled(
    [column('rendition'), figure('part'), figure('from'), figure('frames'), figure('VMAF'), figure('worst frame'), figure('PSNR', 'dB'), figure('SSIM'), figure('worst frame'),
      figure('kbit/s'), figure('% off', 'largest mean difference of a frame to its source, of full scale'), column('worker'), column('SHA-256')], rows));
};

const mean = list => list.reduce((sum, value) => sum + value, 0) / list.length;

/** How the parts before and after a join differ; where frames around it were measured, how far they lie below their parts. */
const joinOf = (rendition, at, spans, key) => {
  const [before, after] = [rendition.parts[at - 1], rendition.parts[at]];
  const frames = [...before.last_frames_vmaf ?? [], ...after.first_frames_vmaf ?? []];
  const lowest = frames.length > 0 ? Math.min(...frames) : NaN;
  const rate = (part, span) => kbps(part.bytes, span.end - span.start);
  // The frame after a join comes as long after the one before as frames do.
  const frame = (before.last_pts - before.first_pts) / Math.max(1, before.frames - 1);
  return {
    rendition, at, time: spans[at].start, before: before[key], after: after[key], lowest,
    dip: frames.length > 0 ? mean([before.vmaf, after.vmaf]) - lowest : Math.abs(after[key] - before[key]),
    rates: [rate(before, spans[at - 1]), rate(after, spans[at])],
    step: (after.first_pts - before.last_pts) / frame,
  };
};

/** Quality and rate at the joins, those where they change most first. */
reel.joins = report => {
  const by = measure(report);
  const all = (report.renditions ?? []).flatMap(rendition => {
    const spans = reel.spans(rendition);
    return (rendition.parts ?? []).slice(1).map((_, at) => joinOf(rendition, at + 1, spans, by?.key));
  });
  if (all.length === 0) return reel.el('p', { class: 'faint' }, 'there is one part, and no join');
  const worst = [...all].sort((one, other) => (other.dip || 0) - (one.dip || 0)).slice(0, MOST_WORST);
  const digits = by?.digits ?? 1;
  const rows = worst.map(join => [join.rendition.name, `${join.at - 1}–${join.at}`, reel.clock(join.time), known(join.before, digits), known(join.after, digits),
    known(join.lowest, 1), known(join.dip, digits), reel.count(join.rates[0]), reel.count(join.rates[1]), known(join.step, 2)]);
  const name = by?.name ?? 'quality';
  return reel.el('div', { class: 'joins' }, reel.el('p', { class: 'faint' }, `the ${rows.length} of ${all.length} where ${name} changes most`), titled(
    [column('rendition'), figure('parts'), figure('at'), figure(`${name} before`), figure('after'), figure('lowest frame', 'VMAF of the frames around the join'),
      figure('change', 'how far the lowest frame lies below the two parts, or what lies between them'), figure('kbit/s before'), figure('after'),
      figure('step', 'from the last frame before to the first after, in frames')], rows));
};

/** A sentence with a mark: `✓` where it holds. */
const check = (holds, sentence) => reel.el('li', { class: holds ? 'good' : 'bad' }, `${holds ? '✓' : '✖'} ${sentence}`);

/** What was found on the package, as a sentence with a mark. */
const judged = ({ findings, destinations }) => {
  if (findings.length === 0) return check(true, `the package meets the rules of its formats${destinations.length > 0 ? ` and of ${destinations.join(', ')}` : ''}`);
  const errors = findings.filter(one => one.severity === 'error').length;
  return errors > 0 ? check(false, `errors in the package: ${errors}`) : reel.el('li', { class: 'odd' }, `! warnings on the package: ${findings.length}`);
};

/** That the title shows every frame of the mezzanine once, and what was looked at to know it. */
reel.proof = report => {
  const { proof } = report;
  if (!proof?.renditions?.length) return reel.el('p', { class: 'bad' }, '✖ this report has no proof of its frames');
  const frames = proof.renditions.map(one => one.frames);
  const title = frames[0] ?? 0;
  const { mezzanine = {} } = report;
  const plain = !report.edit && !mezzanine.telecine;
  const differs = Math.max(0, ...proof.renditions.map(one => one.worst_difference_ppm));
  const sentences = [
    check(frames.every(count => count === title), `all ${frames.length} renditions have ${reel.count(title)} frames`),
    plain && check(title === mezzanine.frames, `the mezzanine has ${reel.count(mezzanine.frames ?? 0)} frames, and so has the title`),
    check(true, `every frame was decoded and compared with its source: none differs by more than ${known(differs / 1e4, 3)} % of full scale on average`),
    check((proof.mended_frames ?? []).length === 0, proof.mended_frames?.length > 0
      ? `${proof.mended_frames.length} frames that the mezzanine does not give are stood for by others` : 'no frame is lacking in the mezzanine'),
    report.check && judged(report.check),
  ];
  const rows = proof.renditions.map(one => [one.name, reel.count(one.frames), String(one.first_pts), String(one.last_pts), String(one.timescale),
    reel.clock((one.last_pts - one.first_pts) / one.timescale), known(one.worst_difference_ppm / 1e4, 3), reel.count(one.ties)]);
  const tracks = proof.audio.map(one => [one.name, reel.count(one.samples), reel.count(one.sample_rate), one.offsets.join(', ') || '–']);
  const findings = report.check?.findings ?? [];
  return reel.el('div', { class: 'proof' },
    reel.el('ul', { class: 'checks' }, sentences),
    titled([column('rendition'), figure('frames'), figure('first PTS'), figure('last PTS'), figure('timescale'), figure('first to last'),
      figure('% off', 'largest mean difference of a frame to its source, of full scale'), figure('ties', 'frames that look like their neighbour')], rows),
    tracks.length > 0 && titled([column('track'), figure('samples'), figure('Hz'), column('delay in samples at start, middle, end')], tracks),
    findings.length > 0 && titled([column('rule'), column('severity'), column('file'), { name: 'what', long: true }], findings.map(one => [one.rule, one.severity, one.file || 'the title', one.what])));
};
