// A heatmap of the buckets of a histogram: time to the right, buckets upwards, colour by count.

import { DataFrame, formattedValueToString, getValueFormat } from '@grafana/data';
import { useTheme2 } from '@grafana/ui';

import { nameOf } from '../fields';
import { AXIS_HEIGHT, TimeAxis } from './axis';
import { ContentProps } from './content';

/** From few to many, on a dark ground. */
const SCHEMES: Record<string, string[]> = {
  Oranges: ['#2b1a10', '#7f2704', '#d94801', '#fd8d3c', '#fdd0a2'],
  Blues: ['#0b1a2b', '#08306b', '#2171b5', '#6baed6', '#deebf7'],
  Greens: ['#0d2013', '#00441b', '#238b45', '#74c476', '#c7e9c0'],
  Spectral: ['#3288bd', '#99d594', '#e6f598', '#fee08b', '#fc8d59', '#d53e4f'],
};
const AXIS_WIDTH = 70;

export function Heatmap({ panel, scene, data, width, height }: ContentProps) {
  const theme = useTheme2();
  const { times, rows } = cells(data);
  const options = panel.options ?? {};
  const colors = SCHEMES[options.color?.scheme] ?? SCHEMES.Oranges;
  const most = Math.max(...rows.flatMap(({ counts }) => counts.map((count) => count ?? 0)), 1e-9);
  const color = (count: number) => colors[Math.min(colors.length - 1, Math.floor(Math.sqrt(count / most) * colors.length))];
  const drawn = { width: width - AXIS_WIDTH, height: height - AXIS_HEIGHT };
  const [lane, step] = [drawn.height / rows.length, times.length > 1 ? times[1] - times[0] : scene.to - scene.from];
  const x = (time: number) => AXIS_WIDTH + ((time - scene.from) / (scene.to - scene.from)) * drawn.width;
  const format = getValueFormat(options.yAxis?.unit ?? panel.fieldConfig.defaults.unit ?? 'none');
  const bound = (name: string) => (name === '+Inf' ? '∞' : Number.isNaN(Number(name)) ? name : formattedValueToString(format(Number(name))));
  const every = Math.ceil(16 / lane);
  return (
    <svg width={width} height={height} fontFamily={theme.typography.fontFamily} fontSize={12} shapeRendering="crispEdges">
      {rows.map(({ name, counts }, i) => {
        const y = drawn.height - (i + 1) * lane;
        return (
          <g key={name}>
            {i % every === 0 && <text x={AXIS_WIDTH - 8} y={y + lane / 2 + 4} textAnchor="end" fill={theme.colors.text.primary}>{bound(name)}</text>}
            {counts.map((count, at) => {
              const from = Math.max(AXIS_WIDTH, x(times[at]));
              const to = Math.min(width, x(times[at] + step));
              return count && to > from ? <rect key={at} data-mark x={from} y={y + 0.5} width={to - from} height={Math.max(1, lane - 1)} fill={color(count)} /> : null;
            })}
          </g>
        );
      })}
      <TimeAxis scene={scene} left={AXIS_WIDTH} width={drawn.width} top={drawn.height} />
    </svg>
  );
}

function cells(data: DataFrame[]) {
  const frame = data[0];
  const times = frame.fields.find((field) => field.type === 'time')!.values as number[];
  const values = frame.fields.filter((field) => field.type === 'number');
  const rows = values.map((field) => ({ name: nameOf(field, frame, data), counts: field.values as Array<number | null> }));
  return { times, rows };
}
