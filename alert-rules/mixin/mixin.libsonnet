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
  },
}
