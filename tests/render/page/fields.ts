// Frames as a panel wants them: transformed, with the configuration of each field and its overrides applied.

import {
  DataFrame, Field, FieldConfig, GrafanaTheme2, NumericRange, cacheFieldDisplayNames, fieldMatchers, getDisplayProcessor,
  getFieldDisplayName, standardTransformers, standardTransformersRegistry, transformDataFrame,
} from '@grafana/data';
import { lastValueFrom } from 'rxjs';

import { Panel } from './scene';

// One of them goes by two names.
const transformers = new Map(Object.values(standardTransformers).map((one: any) => [one.id, one]));
standardTransformersRegistry.setInit(() =>
  [...transformers.values()].map((transformation) => ({
    id: transformation.id,
    name: transformation.name,
    transformation: () => Promise.resolve(transformation),
    editor: () => null,
    imageDark: '',
    imageLight: '',
  })),
);

export async function prepared(panel: Panel, frames: DataFrame[], theme: GrafanaTheme2): Promise<DataFrame[]> {
  const wanted = (panel.transformations ?? []).filter((one) => !one.disabled);
  wanted.forEach(({ id }) => standardTransformersRegistry.get(id));
  const changed = wanted.length > 0 ? await lastValueFrom(transformDataFrame(wanted, frames)) : frames;
  const configured = changed.map((frame) => ({ ...frame, fields: frame.fields.map((field) => ({ ...field })) }));
  cacheFieldDisplayNames(configured);
  let index = 0;
  for (const frame of configured) {
    for (const field of frame.fields) {
      field.config = configOf(field, frame, configured, panel);
      field.state = { ...field.state, displayName: null };
      if (field.type === 'number') Object.assign(field.state, { seriesIndex: index++, range: rangeOf(field, configured) });
      field.display = getDisplayProcessor({ field, theme, timeZone: 'utc' });
      field.getLinks = () => [];
    }
  }
  cacheFieldDisplayNames(configured);
  return configured;
}

function configOf(field: Field, frame: DataFrame, all: DataFrame[], panel: Panel): FieldConfig {
  const { defaults = {}, overrides = [] } = panel.fieldConfig ?? {};
  // The unit of numbers is none of times and texts.
  const own = field.type === 'number' ? structuredClone(defaults) : { custom: structuredClone(defaults.custom ?? {}) };
  const config: any = { ...own, ...field.config, custom: { ...own.custom, ...field.config.custom } };
  for (const { matcher, properties } of overrides) {
    if (!fieldMatchers.get(matcher.id).get(matcher.options)(field, frame, all)) continue;
    properties.forEach(({ id, value }) => set(config, id.split('.'), value));
  }
  return config;
}

/** What its values are shown against: its own bounds, else those of all values. */
function rangeOf(field: Field, all: DataFrame[]): NumericRange {
  const fields = all.flatMap((frame) => frame.fields).filter((one) => one.type === 'number');
  const values = fields.flatMap((one) => one.values as Array<number | null>).filter((value) => value !== null && Number.isFinite(value));
  const min = field.config.min ?? values.reduce<number>((least, value) => Math.min(least, value!), Infinity);
  const max = field.config.max ?? values.reduce<number>((most, value) => Math.max(most, value!), -Infinity);
  return Number.isFinite(max - min) ? { min, max, delta: max - min } : { min: 0, max: 1, delta: 1 };
}

function set(config: any, [first, ...rest]: string[], value: unknown): void {
  if (rest.length === 0) config[first] = value;
  else set((config[first] ??= {}), rest, value);
}

export function nameOf(field: Field, frame: DataFrame, all: DataFrame[]): string {
  return getFieldDisplayName(field, frame, all);
}
