// What is within a panel, by its type.

import { DataFrame, dateTime, TimeRange } from '@grafana/data';

import { Panel, Scene } from '../scene';
import { BarGauges } from './bar_gauge';
import { Heatmap } from './heatmap';
import { Lines } from './lines';
import { StateTimeline } from './state_timeline';
import { Stats } from './stat';
import { Rows } from './table';
import { Words } from './text';

export interface ContentProps {
  panel: Panel;
  scene: Scene;
  data: DataFrame[];
  width: number;
  height: number;
}

const CONTENTS: Record<string, (props: ContentProps) => React.ReactNode> = {
  bargauge: BarGauges,
  heatmap: Heatmap,
  'state-timeline': StateTimeline,
  'status-history': StateTimeline,
  stat: Stats,
  table: Rows,
  text: Words,
  timeseries: Lines,
};

export function Content(props: ContentProps) {
  const { panel, data } = props;
  const Drawn = CONTENTS[panel.type];
  if (!Drawn) throw new Error(`panels of type ${panel.type} cannot be drawn`);
  const isEmpty = panel.type !== 'text' && !data.some((frame) => frame.length > 0 && frame.fields.some(hasValues));
  return isEmpty ? <Nothing /> : <Drawn {...props} />;
}

const hasValues = (field: DataFrame['fields'][0]) => field.type !== 'time' && field.values.some((value) => value !== null);

function Nothing() {
  return <div data-problem="No data" style={{ textAlign: 'center', padding: 16 }}>No data</div>;
}

export function timeRange({ from, to }: Scene): TimeRange {
  const [start, end] = [dateTime(from), dateTime(to)];
  return { from: start, to: end, raw: { from: start, to: end } };
}
