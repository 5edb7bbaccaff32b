// Answers of a Prometheus as the frames that Grafana's components take.

import { DataFrame, Field, FieldType, createDataFrame } from '@grafana/data';

import { Answer, Series } from './scene';

export function frames(answers: Answer[], from: number, to: number): DataFrame[] {
  return answers.flatMap((answer) => {
    if (answer.format === 'table') return [table(answer, answers.length > 1)];
    if (answer.format === 'heatmap') return [buckets(answer, from, to)];
    return answer.result.map((series) => line(series, answer, from, to));
  });
}

/** One series: a point per step, null where there is none, as Grafana fills gaps. */
function line(series: Series, answer: Answer, from: number, to: number): DataFrame {
  const [times, values] = points(series, answer, from, to);
  const displayNameFromDS = legend(answer.legendFormat, series.metric);
  const value = { name: 'Value', type: FieldType.number, labels: series.metric, values, config: { displayNameFromDS } };
  const interval = answer.step * 1000;
  return createDataFrame({
    refId: answer.refId,
    name: displayNameFromDS,
    fields: [{ name: 'Time', type: FieldType.time, values: times, config: { interval } }, value],
  });
}

function points(series: Series, answer: Answer, from: number, to: number): [number[], Array<number | null>] {
  if (series.value) return [[series.value[0] * 1000], [number(series.value[1])]];
  const known = new Map((series.values ?? []).map(([time, value]) => [Math.round(time * 1000), number(value)]));
  const step = answer.step * 1000;
  const times: number[] = [];
  for (let time = Math.floor(from / step) * step; time <= to; time += step) times.push(time);
  return [times, times.map((time) => known.get(time) ?? null)];
}

/** NaN is no number to a panel. */
function number(text: string): number | null {
  const value = text === '+Inf' ? Infinity : text === '-Inf' ? -Infinity : Number(text);
  return Number.isNaN(value) ? null : value;
}

export function legend(format: string | undefined, labels: Record<string, string>): string {
  if (format && format !== '__auto') {
    return format.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, name: string) => labels[name] ?? '');
  }
  const { __name__: name = '', ...others } = labels;
  const pairs = Object.entries(others).map(([label, value]) => `${label}="${value}"`);
  return pairs.length > 0 ? `${name}{${pairs.join(', ')}}` : name || 'Value';
}

/** All series as rows: time, labels, value. */
function table(answer: Answer, isOneOfMany: boolean): DataFrame {
  const names = [...new Set(answer.result.flatMap((series) => Object.keys(series.metric)))].sort();
  const last = answer.result.map((series) => series.value ?? series.values!.at(-1)!);
  const texts = names.map((name) => column(name, FieldType.string, answer.result.map((series) => series.metric[name] ?? '')));
  return createDataFrame({
    refId: answer.refId,
    fields: [
      column('Time', FieldType.time, last.map(([time]) => time * 1000)),
      ...texts,
      column(isOneOfMany ? `Value #${answer.refId}` : 'Value', FieldType.number, last.map(([, value]) => number(value))),
    ],
  });
}

function column(name: string, type: FieldType, values: unknown[]): Field {
  return { name, type, values, config: {} };
}

/** A histogram: one field per bucket, its own count without that of the smaller ones. */
function buckets(answer: Answer, from: number, to: number): DataFrame {
  const bound = (series: Series) => number(series.metric.le ?? '+Inf')!;
  const sorted = [...answer.result].sort((one, other) => bound(one) - bound(other));
  const counts = sorted.map((series) => points(series, answer, from, to));
  const own = counts.map(([, values], i) => values.map((value, at) => {
    const smaller = i === 0 ? 0 : counts[i - 1][1][at] ?? 0;
    return value === null ? null : Math.max(0, value - smaller);
  }));
  return createDataFrame({
    refId: answer.refId,
    fields: [
      column('Time', FieldType.time, counts[0]?.[0] ?? []),
      ...sorted.map((series, i) => column(legend(answer.legendFormat, series.metric), FieldType.number, own[i])),
    ],
  });
}
