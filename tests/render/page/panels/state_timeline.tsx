// States along time, one bar per series: equal values that follow each other are one.

import { DataFrame, DisplayValue, Field, formattedValueToString } from '@grafana/data';
import { useTheme2 } from '@grafana/ui';

import { nameOf } from '../fields';
import { AXIS_HEIGHT, TimeAxis } from './axis';
import { ContentProps } from './content';

interface State {
  from: number;
  to: number;
  display: DisplayValue;
}

interface Bar {
  name: string;
  states: State[];
}

/** Pixels of a letter, nearly. */
const LETTER = 7;
const LEGEND_HEIGHT = 24;

export function StateTimeline({ panel, scene, data, width, height }: ContentProps) {
  const theme = useTheme2();
  const all = bars(data, scene.to);
  const options = panel.options ?? {};
  const hasLegend = options.legend?.showLegend !== false;
  const left = Math.min(width / 3, 12 + LETTER * Math.max(...all.map(({ name }) => name.length)));
  const drawn = height - AXIS_HEIGHT - (hasLegend ? LEGEND_HEIGHT : 0);
  const lane = drawn / all.length;
  const bar = lane * (options.rowHeight ?? 0.9);
  const x = (time: number) => left + ((Math.max(time, scene.from) - scene.from) / (scene.to - scene.from)) * (width - left);
  const opacity = (panel.fieldConfig.defaults.custom?.fillOpacity ?? 70) / 100;
  const states = new Map(all.flatMap(({ states }) => states).map(({ display }) => [formattedValueToString(display), display.color]));
  return (
    <div>
      <svg width={width} height={height - (hasLegend ? LEGEND_HEIGHT : 0)} fontFamily={theme.typography.fontFamily} fontSize={12}>
        {all.map(({ name, states }, i) => (
          <g key={name}>
            <text x={left - 8} y={(i + 0.5) * lane + 4} textAnchor="end" fill={theme.colors.text.primary}>{name}</text>
            {states.map(({ from, to, display }) => {
              const text = formattedValueToString(display);
              const room = x(to) - x(from);
              const shows = (options.showValue ?? 'auto') !== 'never' && room > text.length * LETTER + 8 && bar > 14;
              return (
                <g key={from} data-mark>
                  <rect x={x(from)} y={i * lane + (lane - bar) / 2} width={Math.max(1, room)} height={bar} fill={display.color} fillOpacity={opacity} />
                  {shows && <text x={x(from) + 6} y={(i + 0.5) * lane + 4} fill={theme.colors.text.maxContrast}>{text}</text>}
                </g>
              );
            })}
          </g>
        ))}
        <TimeAxis scene={scene} left={left} width={width - left} top={drawn} />
      </svg>
      {hasLegend && (
        <div style={{ display: 'flex', gap: 16, height: LEGEND_HEIGHT, alignItems: 'center', fontSize: 12, paddingLeft: 8 }}>
          {[...states].map(([text, color]) => (
            <span key={text} style={{ display: 'flex', alignItems: 'center', gap: 6 }}>
              <span style={{ width: 14, height: 4, borderRadius: 2, background: color }} /> {text}
            </span>
          ))}
        </div>
      )}
    </div>
  );
}

function bars(data: DataFrame[], end: number): Bar[] {
  return data.flatMap((frame) => {
    const times = frame.fields.find((field) => field.type === 'time');
    const values = frame.fields.filter((field) => field.type !== 'time');
    return times ? values.map((field) => ({ name: nameOf(field, frame, data), states: statesOf(field, times, end) })) : [];
  });
}

function statesOf(field: Field, times: Field, end: number): State[] {
  const states: State[] = [];
  let last: unknown = null;
  times.values.forEach((time: number, i: number) => {
    const value = field.values[i];
    if (states.length > 0 && last !== null) states.at(-1)!.to = time;
    if (value !== null && value !== last) states.push({ from: time, to: end, display: field.display!(value) });
    last = value;
  });
  return states;
}
