// Time series, with the annotations of the dashboard as upright lines.

import { DataFrame } from '@grafana/data';
import { TimeSeries, UPlotConfigBuilder, useTheme2 } from '@grafana/ui';

import { Annotation } from '../scene';
import { ContentProps, timeRange } from './content';

/** What Grafana takes where a panel says nothing. */
const CUSTOM = {
  drawStyle: 'line', lineInterpolation: 'linear', lineWidth: 1, fillOpacity: 0, gradientMode: 'none', showPoints: 'auto',
  pointSize: 5, spanNulls: false, axisPlacement: 'auto', scaleDistribution: { type: 'linear' }, stacking: { mode: 'none', group: 'A' },
  hideFrom: { legend: false, tooltip: false, viz: false }, thresholdsStyle: { mode: 'off' },
};
const LEGEND = { showLegend: true, displayMode: 'list', placement: 'bottom', calcs: [] };

export function Lines({ panel, scene, data, width, height }: ContentProps) {
  const theme = useTheme2();
  const frames = data.map(withDefaults);
  return (
    <TimeSeries
      frames={frames}
      width={width}
      height={height}
      timeRange={timeRange(scene)}
      timeZone="utc"
      legend={{ ...LEGEND, ...panel.options?.legend }}
      options={panel.options}
    >
      {(builder) => {
        mark(builder, scene.annotations, (color) => theme.visualization.getColorByName(color));
        return null;
      }}
    </TimeSeries>
  );
}

function withDefaults(frame: DataFrame): DataFrame {
  const fields = frame.fields.map((field) => {
    const color = field.config.color ?? { mode: 'palette-classic' };
    return { ...field, config: { ...field.config, color, custom: { ...CUSTOM, ...field.config.custom } } };
  });
  return { ...frame, fields };
}

const marked = new WeakSet<UPlotConfigBuilder>();

/** Draws upright lines; a builder comes by with every drawing. */
function mark(builder: UPlotConfigBuilder, annotations: Annotation[], colorOf: (name: string) => string) {
  if (marked.has(builder)) return;
  marked.add(builder);
  builder.addHook('draw', (plot: any) => {
    const { ctx, bbox } = plot;
    ctx.save();
    for (const { color, times } of annotations) {
      ctx.strokeStyle = ctx.fillStyle = colorOf(color);
      ctx.lineWidth = 1;
      for (const time of times) {
        const x = Math.round(plot.valToPos(time, 'x', true)) + 0.5;
        if (x < bbox.left || x > bbox.left + bbox.width) continue;
        ctx.setLineDash([4, 4]);
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
        ctx.beginPath();
        ctx.moveTo(x - 4, bbox.top + bbox.height + 5);
        ctx.lineTo(x + 4, bbox.top + bbox.height + 5);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.fill();
      }
    }
    ctx.restore();
  });
}
