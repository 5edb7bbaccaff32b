// All that a page needs to draw a dashboard: the dashboard, its variables, and the answers to its queries.

import { fill, fillTitle, resolve } from './variables.mjs';

/** Pixels of a picture of which each may be a point of a line. */
const POINTS = 700;
const SECONDS = { s: 1, m: 60, h: 3600, d: 86400, w: 604800 };

export async function scene(dashboard, prometheus, settings) {
  const range = settings.range ?? seconds(/^now-(\w+)$/.exec(dashboard.time?.from ?? 'now-1h')?.[1] ?? '1h');
  const window = { start: settings.time - range, end: settings.time };
  const variables = await resolve(dashboard, prometheus, window, settings.variables);
  const asked = { prometheus, window, variables, interval: settings.interval };
  const answers = {};
  for (const panel of allPanels(dashboard)) {
    panel.title = fillTitle(panel.title, variables);
    answers[panel.id] = await Promise.all((panel.targets ?? []).filter(isShown).map((target) => ask(target, panel, asked)));
  }
  return {
    dashboard,
    problems: [...variables.values()].flatMap(({ problem }) => problem ?? []),
    variables: [...variables.values()].filter((variable) => variable.hide !== 2),
    from: window.start * 1000,
    to: window.end * 1000,
    answers,
    annotations: await Promise.all((dashboard.annotations?.list ?? []).filter(isOwn).map((one) => annotate(one, asked))),
  };
}

export function allPanels(dashboard) {
  return dashboard.panels.flatMap((panel) => (panel.type === 'row' ? panel.panels ?? [] : [panel]));
}

const isShown = (target) => !target.hide && target.expr;
const isOwn = (annotation) => annotation.enable !== false && !annotation.builtIn && annotation.expr;

function seconds(text) {
  const parts = [...text.matchAll(/(\d+)([smhdw])/g)];
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * SECONDS[unit], 0);
}

/** One query of a panel: at the end of the window, or along it. */
async function ask(target, panel, { prometheus, window, variables, interval }) {
  const { refId, legendFormat, format = 'time_series', instant = false } = target;
  const least = seconds(target.interval || panel.interval || '') || interval;
  const step = niceStep((window.end - window.start) / Math.min(panel.maxDataPoints ?? POINTS, POINTS), least);
  const expr = fill(target.expr, variables, durations(window, step, interval));
  const along = { start: Math.floor(window.start / step) * step, end: Math.floor(window.end / step) * step, step };
  try {
    const data = instant ? await prometheus.instant(expr, window.end) : await prometheus.range(expr, along);
    return { refId, legendFormat, format, instant, step, type: data.resultType, result: data.result };
  } catch (error) {
    return { refId, legendFormat, format, instant, step, result: [], error: error.message };
  }
}

/** The times at which a query begins to have an answer above zero, or those that are its values, in milliseconds. */
async function annotate(annotation, { prometheus, window, variables, interval }) {
  const step = niceStep((window.end - window.start) / POINTS, seconds(annotation.step || '') || interval);
  const expr = fill(annotation.expr, variables, durations(window, step, interval));
  const along = { start: Math.floor(window.start / step) * step, end: Math.floor(window.end / step) * step, step };
  const { result } = await prometheus.range(expr, along);
  const times = result.flatMap(({ values }) => {
    if (annotation.useValueForTime) {
      return values.map(([, value]) => Number(value) / 1000).filter((time) => time >= window.start && time <= window.end);
    }
    const on = values.filter(([, value]) => Number(value) > 0).map(([time]) => time);
    return on.filter((time, i) => i === 0 || time - on[i - 1] > step * 1.5);
  });
  return { name: annotation.name, color: annotation.iconColor, times: [...new Set(times)].map((time) => time * 1000) };
}

function durations(window, step, interval) {
  const range = Math.round(window.end - window.start);
  return {
    __interval: `${step}s`,
    __interval_ms: String(step * 1000),
    // As Grafana computes it: four scrapes at least, so that two samples are in it even when one is missing.
    __rate_interval: `${Math.max(step + interval, 4 * interval)}s`,
    __range: `${range}s`,
    __range_s: String(range),
    __range_ms: String(range * 1000),
  };
}

function niceStep(step, least) {
  const nice = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400];
  return nice.find((candidate) => candidate >= Math.max(step, least)) ?? Math.ceil(step);
}
