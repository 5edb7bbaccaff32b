// Rows: the frames of a panel as one table.

import { DataFrame } from '@grafana/data';
import { TableCellHeight } from '@grafana/schema';
import { TableNG } from '@grafana/ui/unstable';

import { ContentProps, timeRange } from './content';

export function Rows({ panel, scene, data, width, height }: ContentProps) {
  if (data.length > 1) throw new Error(`${data.length} tables in one panel; a transformation merges them`);
  const options = panel.options ?? {};
  return (
    <TableNG
      data={withDefaults(data[0])}
      width={width}
      height={height}
      sortBy={options.sortBy}
      noHeader={options.showHeader === false}
      cellHeight={options.cellHeight ?? TableCellHeight.Sm}
      timeRange={timeRange(scene)}
      fieldConfig={panel.fieldConfig}
      enableVirtualization={false}
      structureRev={1}
    />
  );
}

function withDefaults(frame: DataFrame): DataFrame {
  const fields = frame.fields.map((field) => {
    const custom = { align: 'auto', inspect: false, cellOptions: { type: 'auto' }, ...field.config.custom };
    return { ...field, config: { ...field.config, custom } };
  });
  return { ...frame, fields };
}
