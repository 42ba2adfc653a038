'use strict';

// How a title's quality and rate go over time, by its report. Times are in seconds from its first frame.

/** When each part of a rendition begins and ends, in seconds. */
reel.spans = ({ parts = [], timescale }) => parts.map((part, at) => {
  const ticks = Math.max(1, Number(timescale) || 1);
  const [start, last] = [Number(part.first_pts) || 0, Number(part.last_pts) || 0];
  // Of the last part, the last frame is shown as long as the others.
  const frame = (last - start) / Math.max(1, (Number(part.frames) || 0) - 1);
  const end = at + 1 < parts.length ? Number(parts[at + 1].first_pts) || 0 : last + frame;
  const first = Number(parts[0].first_pts) || 0;
  return { start: (start - first) / ticks, end: (Math.max(end, start) - first) / ticks };
});

/** The rate of each segment. All are as long as those of the first part, but for the last of a part, which ends with it. */
reel.rates = (parts, spans) => {
  const listed = part => part.segment_bytes?.length > 0 ? part.segment_bytes : [part.bytes];
  const usual = parts.length > 0 ? (spans[0].end - spans[0].start) / listed(parts[0]).length : 0;
  return parts.flatMap((part, at) => {
    const [{ start, end }, bytes] = [spans[at], listed(part)];
    return bytes.map((bytes, segment, { length }) => {
      const from = Math.min(start + usual * segment, end);
      const until = segment === length - 1 ? end : Math.min(from + usual, end);
      return { start: from, end: until, value: bytes * 8 / 1e6 / (until - from) };
    }).filter(step => step.end > step.start);
  });
};

/** What is drawn, in the order of the page: key in a part, name, unit, digits behind the point. */
reel.MEASURES = [
  { key: 'vmaf', name: 'VMAF', unit: '', digits: 1 },
  { key: 'psnr_db', name: 'PSNR', unit: 'dB', digits: 1 },
  { key: 'ssim', name: 'SSIM', unit: '', digits: 4 },
  { key: 'rate', name: 'bit rate', unit: 'Mbit/s', digits: 2 },
];

/** The curves of a title: how long it is, when it is black or stands still, and of each rendition its joins and steps. */
reel.curves = report => {
  const renditions = (report.renditions ?? []).map(rendition => {
    const { parts = [], name, width, height } = rendition;
    const spans = reel.spans(rendition);
    const of = key => parts.map((part, at) => ({ ...spans[at], value: part[key] })).filter(step => Number.isFinite(step.value));
    return {
      name, width, height,
      seconds: spans.at(-1)?.end ?? 0,
      joins: spans.slice(1).map(span => span.start),
      vmaf: of('vmaf'), psnr_db: of('psnr_db'), ssim: of('ssim'),
      rate: reel.rates(parts, spans),
    };
  });
  const stretches = list => (list ?? []).map(({ start_s, end_s }) => ({ start: start_s, end: end_s })).filter(({ start, end }) => end >= start);
  return {
    seconds: Math.max(0, ...renditions.map(rendition => rendition.seconds)),
    black: stretches(report.picture?.black),
    frozen: stretches(report.picture?.frozen),
    renditions,
  };
};
