// The variables of a dashboard: which values they have, and texts with those values in place.

/** What stands for "all" where a variable has no text of its own for it. */
const ALL = '$__all';

/** Values by name, in the order of the dashboard, since a query may use those before it. */
export async function resolve(dashboard, prometheus, window, chosen) {
  const found = new Map();
  for (const variable of dashboard.templating?.list ?? []) {
    found.set(variable.name, await one(variable, prometheus, window, chosen[variable.name], found));
  }
  return found;
}

async function one(variable, prometheus, window, chosen, before) {
  const shown = { name: variable.name, label: variable.label || variable.name, hide: variable.hide };
  if (variable.type === 'datasource') return { ...shown, text: 'Prometheus', value: 'prometheus' };
  const options = await optionsOf(variable, prometheus, window, before);
  const current = chosen ?? [variable.current?.value].flat()[0];
  const isAll = current === ALL || (current === undefined && variable.includeAll);
  if (variable.includeAll && isAll) {
    return { ...shown, text: 'All', value: variable.allValue ?? pattern(options), options };
  }
  const value = current && current !== ALL ? current : options[0];
  if (value === undefined) return { ...shown, text: '', value: '', problem: `variable ${variable.name} has no values` };
  return { ...shown, text: value, value: variable.multi ? escape(value) : value, options };
}

async function optionsOf(variable, prometheus, window, before) {
  if (variable.type !== 'query') return (variable.options ?? []).map((option) => option.value);
  const query = typeof variable.query === 'string' ? variable.query : variable.query.query;
  const [, series, label] = /^label_values\((?:(.*),)?\s*(\w+)\)$/s.exec(query.trim()) ?? [];
  if (!label) throw new Error(`variable ${variable.name}: ${query} is not understood`);
  const values = await prometheus.labelValues(label, series && fill(series, before, {}), window);
  const regex = /^\/(.*)\/$/.exec(variable.regex ?? '')?.[1];
  return values.filter((value) => !regex || new RegExp(regex).test(value));
}

const escape = (value) => value.replace(/[\\^$*+?.()|{}[\]]/g, '\\\\$&');
const pattern = (values) => `(${values.map(escape).join('|')})`;

/** A text with `$name`, `${name}` and `${name:format}` in place; what nobody knows stays. */
export function fill(text, variables, durations) {
  return text.replace(/\$(\w+)|\$\{(\w+)(?::\w+)?\}/g, (whole, short, long) => {
    const name = short ?? long;
    return durations[name] ?? variables.get(name)?.value ?? whole;
  });
}

/** The same for titles: what a person reads. */
export function fillTitle(text, variables) {
  return (text ?? '').replace(/\$(\w+)|\$\{(\w+)(?::\w+)?\}/g, (whole, short, long) => {
    return variables.get(short ?? long)?.text ?? whole;
  });
}
