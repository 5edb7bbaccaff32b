//! The one integration binary: each module is one boundary, tested against the real parts.

#![expect(clippy::disallowed_methods, reason = "fake targets end with the runtime of their test")]

mod harness;

// The pages for probes and people, and what all paths have in common.
mod admin;
// The metrics APIs as a client sees them: bodies, selectors, discovery, errors.
mod api;
// What an installation applies: accepted by a real API server, and in agreement with the program.
mod manifests;
// Dashboards and rules on the real thing: every query, and faults that arrive where they should.
mod artifacts;
// Alerts: their stories, runbooks and ways to somebody, and what they are scraped by.
mod rules;
// Who asks: the front proxy of a cluster, users with certificates or tokens, strangers.
mod authentication;
// Who may: what the kube-apiserver says of it, and what is refused.
mod authorization;
// The serving certificate in files that change.
mod certificates;
// One request of the scraper: TLS, redirects, encodings, framing.
mod client;
// Every form of request of Kubernetes' clients, and each answer decoded by types that take nothing else.
mod conformance;
// What HTTP says around the answers: Accept, tags, HEAD, methods, slashes, escapes.
mod http;
// Configuration files, good and bad, and the samples under deploy/.
mod config;
// The real control plane: objects become processes, and processes end with their objects.
mod controlplane;
// The whole: real autoscalers of a real control plane scale by Plimsoll's numbers.
mod e2e;
// Plimsoll beside a real Prometheus: the same pages, every sample compared.
mod differential;
// Dashboards as a cluster and a Grafana are given them.
mod dashboards;
// Static targets, file_sd and http_sd.
mod discovery;
// The whole program as a process: command line, logs, traces, signals, ports.
mod process;
// The artifacts as they are shipped: the command, a real registry, a Prometheus and a Plimsoll they are compared with.
mod bundle;
// Dashboards and alerts of a configuration, by the command.
mod generate;
// The image: built by its Dockerfile, and run as a container.
mod image;
// What Plimsoll tells of itself: of autoscalers, sources, requests; and that the catalogue has all of it.
mod own_metrics;
// The OpenAPI documents: consistent, true of the answers, and found by kubectl explain.
mod openapi;
// The doctor: each fault of a cluster is named, and what is well is not.
mod doctor;
// The demo: what it prints works as printed.
mod demo;
// Rates, quantiles and sums as Prometheus 2 and 3 compute them.
mod promql;
// The dashboards as people see them, drawn from what a real Prometheus says.
mod render;
// What the README shows is true.
mod readme;
// Native histograms against figures of Prometheus' code.
mod native_histogram;
// The protobuf format as a real program writes it.
mod protobuf;
// Seeds of the fuzz targets.
mod fuzz;
// Programs that nobody here wrote: Prometheus, node exporter, promtool.
mod real;
// Relabeling rules beside a real Prometheus.
mod relabeling;
// A changed configuration file.
mod reload;
// The port under attack, while an autoscaler goes on asking.
mod port;
// The HTTPS listener and hostile clients.
mod serving;
// Targets good, bad and hostile.
mod scrape;
// Targets of a cluster: a scripted kube-apiserver that changes, refuses, goes and comes.
mod watches;
// The map in lib.rs is true: imports, orphans, module docs.
mod tidy;
