// Made by `plimsoll artifacts generate`; changes belong into the catalogue.
// Rules and dashboards for those who put their monitoring together with jsonnet.
{
  prometheusRules+:: {
    groups+: std.parseYaml(importstr '../recording.yaml').groups,
  },
  prometheusAlerts+:: {
    groups+: std.parseYaml(importstr '../plimsoll.yaml').groups
            + std.parseYaml(importstr '../slo.yaml').groups,
  },
  grafanaDashboards+:: {
    'plimsoll-api.json': import '../../dashboards/plimsoll-api.json',
    'plimsoll-hpa.json': import '../../dashboards/plimsoll-hpa.json',
    'plimsoll-internals.json': import '../../dashboards/plimsoll-internals.json',
    'plimsoll-overview.json': import '../../dashboards/plimsoll-overview.json',
    'plimsoll-sources.json': import '../../dashboards/plimsoll-sources.json',
  },
}
