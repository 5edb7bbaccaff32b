// Made by `plimsoll artifacts generate`; changes belong into the catalogue.
// Rules and dashboards for those who put their monitoring together with jsonnet.
{
  prometheusRules+:: {
    groups+: std.parseYaml(importstr '../recording.yaml').groups,
  },
  prometheusAlerts+:: {
    groups+: std.parseYaml(importstr '../platform.yaml').groups
            + std.parseYaml(importstr '../plimsoll.yaml').groups
            + std.parseYaml(importstr '../slo.yaml').groups,
  },
  grafanaDashboards+:: {
    'platform-business.json': import '../../dashboards/platform-business.json',
    'platform-queues.json': import '../../dashboards/platform-queues.json',
    'platform-resources.json': import '../../dashboards/platform-resources.json',
    'platform-service-level.json': import '../../dashboards/platform-service-level.json',
    'plimsoll-api.json': import '../../dashboards/plimsoll-api.json',
    'plimsoll-hpa.json': import '../../dashboards/plimsoll-hpa.json',
    'plimsoll-internals.json': import '../../dashboards/plimsoll-internals.json',
    'plimsoll-overview.json': import '../../dashboards/plimsoll-overview.json',
    'plimsoll-sources.json': import '../../dashboards/plimsoll-sources.json',
  },
}
