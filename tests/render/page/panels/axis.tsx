// The time axis below what is drawn here itself, as Grafana's graphs have it.

import { dateTimeFormat } from '@grafana/data';
import { useTheme2 } from '@grafana/ui';

import { Scene } from '../scene';

/** Pixels. */
export const AXIS_HEIGHT = 22;
const TICK_WIDTH = 90;
const STEPS = [1, 5, 10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800].map((s) => s * 1000);

export function TimeAxis({ scene, left, width, top }: { scene: Scene; left: number; width: number; top: number }) {
  const theme = useTheme2();
  const span = scene.to - scene.from;
  const step = STEPS.find((step) => (step / span) * width >= TICK_WIDTH) ?? span;
  const format = step < 60_000 ? 'HH:mm:ss' : step < 86_400_000 ? 'HH:mm' : 'MM/DD';
  const ticks: number[] = [];
  for (let time = Math.ceil(scene.from / step) * step; time <= scene.to; time += step) ticks.push(time);
  return (
    <g fill={theme.colors.text.primary} fontSize={12} fontFamily={theme.typography.fontFamily} textAnchor="middle">
      {ticks.map((time) => (
        <text key={time} x={left + ((time - scene.from) / span) * width} y={top + 16}>
          {dateTimeFormat(time, { format, timeZone: 'utc' })}
        </text>
      ))}
    </g>
  );
}
