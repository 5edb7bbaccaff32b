// Draws dashboards with Grafana's own components from what a Prometheus says, to one PNG each.
//
// A folder with <uid>.json and the address of a Prometheus go in, pictures come out. Every panel must be drawn: one without
// data or in error is named, and the command fails. Nothing but loopback is asked.

import { spawnSync } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { Chromium } from './driver/chromium.mjs';
import { Page } from './driver/page.mjs';
import { Prometheus } from './driver/prometheus.mjs';
import { scene } from './driver/scene.mjs';

const options = {
  prometheus: { type: 'string' },
  dashboards: { type: 'string', default: 'dashboards' },
  output: { type: 'string', default: 'dashboards/screenshots' },
  // Where node_modules is.
  modules: { type: 'string' },
  // Seconds since 1970; without, now.
  time: { type: 'string' },
  // Seconds; without, what each dashboard says.
  range: { type: 'string' },
  // Seconds between two scrapes.
  interval: { type: 'string', default: '15' },
  chromium: { type: 'string', default: 'chromium' },
  // Draw nothing; say which units there are.
  units: { type: 'boolean', default: false },
  // name=value, for variables that are not to be as the dashboard says.
  variable: { type: 'string', multiple: true, default: [] },
};
/** Bytes of a picture in the repository. */
const PICTURE_MAX = 300 * 1024;

const { values: args, positionals: uids } = parseArgs({ options, allowPositionals: true });
const problems = await draw(args, uids);
problems.forEach((problem) => console.error(problem));
process.exit(problems.length > 0 ? 1 : 0);

async function draw(args, uids) {
  const prometheus = args.units || new Prometheus(args.prometheus);
  const settings = {
    time: Number(args.time ?? Date.now() / 1000),
    range: args.range && Number(args.range),
    interval: Number(args.interval),
    variables: Object.fromEntries(args.variable.map((pair) => pair.split(/=(.*)/s).slice(0, 2))),
  };
  const page = await Page.serve(args.modules);
  const chromium = await Chromium.start(args.chromium, page.address);
  const problems = [];
  try {
    if (args.units) {
      console.log((await chromium.units()).join('\n'));
      return [];
    }
    await mkdir(args.output, { recursive: true });
    for (const dashboard of await dashboards(args.dashboards, uids)) {
      const asked = await scene(dashboard, prometheus, settings);
      const drawn = await chromium.draw(asked);
      const picture = path.join(args.output, `${dashboard.uid}.png`);
      const small = smaller(drawn.picture);
      await writeFile(picture, small);
      const found = [...asked.problems, ...judge(dashboard, drawn, small.length)];
      const count = `${drawn.panels.length} panels, ${Math.ceil(small.length / 1024)} KiB`;
      console.log(`${picture}: ${count}${found.length > 0 ? `, ${found.length} problems` : ''}`);
      problems.push(...found.map((problem) => `${dashboard.uid}: ${problem}`));
    }
  } finally {
    await chromium.stop();
    page.stop();
  }
  return problems;
}

async function dashboards(folder, uids) {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.json')).sort();
  const all = await Promise.all(names.map(async (name) => JSON.parse(await readFile(path.join(folder, name), 'utf8'))));
  const found = all.filter((one) => one.schemaVersion && (uids.length === 0 || uids.includes(one.uid)));
  if (found.length === 0) throw new Error(`${folder} has no dashboard ${uids.join(', ')}`);
  return found;
}

/** The same picture with as many colours as a byte has: a third of the size, and nobody sees it. */
function smaller(picture) {
  const { status, stdout, stderr, error } = spawnSync('pngquant', ['--speed', '3', '--strip', '256', '-'], {
    input: picture,
    maxBuffer: 16 * PICTURE_MAX,
  });
  if (status !== 0) throw new Error(`pngquant: ${error?.message ?? stderr}`);
  return stdout;
}

/** Every panel of the dashboard is drawn, and nothing else went wrong. */
function judge(dashboard, { panels, complaints }, size) {
  const wanted = dashboard.panels.flatMap((panel) => (panel.type === 'row' ? panel.panels ?? [] : [panel]));
  const problems = wanted.flatMap((panel) => {
    const drawn = panels.find((one) => one.id === panel.id);
    if (!drawn) return [`panel ${JSON.stringify(panel.title)} is not on the page`];
    return drawn.problem ? [`panel ${JSON.stringify(panel.title)}: ${drawn.problem}`] : [];
  });
  if (size > PICTURE_MAX) problems.push(`the picture has ${size} bytes, at most ${PICTURE_MAX} are kept`);
  return [...problems, ...complaints.map((complaint) => `the page says: ${complaint}`)];
}
