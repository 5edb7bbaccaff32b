// The values of a panel that shows one per series.

import { FieldDisplay, getFieldDisplayValues, GrafanaTheme2 } from '@grafana/data';

import { ContentProps } from './content';

export function displayValues({ panel, data }: ContentProps, theme: GrafanaTheme2, sparkline: boolean): FieldDisplay[] {
  return getFieldDisplayValues({
    data,
    reduceOptions: { calcs: ['lastNotNull'], ...panel.options?.reduceOptions },
    fieldConfig: panel.fieldConfig,
    replaceVariables: (text) => text,
    sparkline,
    theme,
    timeZone: 'utc',
  });
}
