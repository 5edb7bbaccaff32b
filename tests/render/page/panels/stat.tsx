// Big values, one per series, some with a line behind.

import { FieldDisplay, getDisplayValueAlignmentFactors, VizOrientation } from '@grafana/data';
import { BigValue, BigValueColorMode, BigValueGraphMode, BigValueJustifyMode, BigValueTextMode, useTheme2, VizRepeater } from '@grafana/ui';

import { ContentProps, timeRange } from './content';
import { displayValues } from './values';

export function Stats(props: ContentProps) {
  const { panel, scene, width, height } = props;
  const theme = useTheme2();
  const options = panel.options ?? {};
  const graphMode = options.graphMode ?? BigValueGraphMode.Area;
  const values = displayValues(props, theme, graphMode !== BigValueGraphMode.None);
  const one = ({ display, sparkline }: FieldDisplay, width: number, height: number, alignmentFactors: any) => (
    <BigValue
      value={display}
      sparkline={sparkline && { ...sparkline, timeRange: timeRange(scene) }}
      count={values.length}
      colorMode={options.colorMode ?? BigValueColorMode.Value}
      graphMode={graphMode}
      justifyMode={options.justifyMode ?? BigValueJustifyMode.Auto}
      textMode={options.textMode ?? BigValueTextMode.Auto}
      text={options.text}
      alignmentFactors={alignmentFactors}
      width={width}
      height={height}
      theme={theme}
    />
  );
  return (
    <VizRepeater
      getValues={() => values}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value, width, height, alignmentFactors }) => one(value, width, height, alignmentFactors)}
      source={props.data}
      renderCounter={0}
      autoGrid
      itemSpacing={3}
      orientation={options.orientation || VizOrientation.Auto}
      width={width}
      height={height}
    />
  );
}
