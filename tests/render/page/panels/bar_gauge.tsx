// Values as bars, one per series.

import { FieldDisplay, getDisplayValueAlignmentFactors, VizOrientation } from '@grafana/data';
import { BarGaugeDisplayMode, BarGaugeNamePlacement, BarGaugeValueMode } from '@grafana/schema';
import { BarGauge, useTheme2, VizRepeater } from '@grafana/ui';

import { ContentProps } from './content';
import { displayValues } from './values';

export function BarGauges(props: ContentProps) {
  const { panel, data, width, height } = props;
  const theme = useTheme2();
  const options = panel.options ?? {};
  const values = displayValues(props, theme, false);
  const orientation = options.orientation && options.orientation !== 'auto' ? options.orientation : VizOrientation.Horizontal;
  const display = ({ view, colIndex }: FieldDisplay) => view && colIndex !== undefined ? view.getFieldDisplayProcessor(colIndex) : undefined;
  return (
    <VizRepeater
      getValues={() => values}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value, width, height, alignmentFactors }) => (
        <BarGauge
          value={value.display}
          field={value.field}
          display={display(value)}
          orientation={orientation}
          displayMode={options.displayMode ?? BarGaugeDisplayMode.Gradient}
          valueDisplayMode={options.valueMode ?? BarGaugeValueMode.Color}
          namePlacement={options.namePlacement ?? BarGaugeNamePlacement.Auto}
          showUnfilled={options.showUnfilled ?? true}
          text={options.text}
          itemSpacing={10}
          lcdCellWidth={options.displayMode === BarGaugeDisplayMode.Lcd ? 12 : 8}
          alignmentFactors={alignmentFactors}
          width={width}
          height={height}
          theme={theme}
        />
      )}
      source={data}
      renderCounter={0}
      itemSpacing={10}
      minVizWidth={options.minVizWidth ?? 8}
      minVizHeight={options.minVizHeight ?? 16}
      maxVizHeight={options.maxVizHeight ?? 300}
      orientation={orientation}
      width={width}
      height={height}
    />
  );
}
