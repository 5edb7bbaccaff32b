// Made by `plimsoll artifacts generate`; changes belong into the catalogue.
// Rules and dashboards for those who put their monitoring together with jsonnet.
{
  prometheusRules+:: {
    groups+: std.parseYaml(importstr '../platform-recording.yaml').groups,
  },
  prometheusAlerts+:: {
    groups+: std.parseYaml(importstr '../platform-slo.yaml').groups
            + std.parseYaml(importstr '../platform.yaml').groups,
  },
  grafanaDashboards+:: {
    'platform-backups.json': import '../../dashboards/platform-backups.json',
    'platform-business.json': import '../../dashboards/platform-business.json',
    'platform-queues.json': import '../../dashboards/platform-queues.json',
    'platform-resources.json': import '../../dashboards/platform-resources.json',
    'platform-service-level.json': import '../../dashboards/platform-service-level.json',
  },
}
