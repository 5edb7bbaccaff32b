//! The whole: a real control plane, Plimsoll registered with it, and workloads that the real autoscaler scales by its
//! numbers. Each test has a namespace and asserts on objects of the cluster; all share one [`scene`].

// The conditions of the APIServices over time.
mod conditions;
// What the algorithm of the autoscaler allows, given what was there.
mod model;
// What happened to the objects of a namespace.
mod recording;
// What all these tests share.
mod scene;
// YAML of what runs and what scales it.
mod workloads;

// Requests through the API server, counted.
mod load;
// Brokers whose numbers are known beforehand.
mod fleet;

// The serving certificate: where it comes from, and how it changes.
mod certificates;
// An autoscaler while the port is attacked.
mod attack;
// Who may ask: certificates, tokens, headers and nothing, against what is allowed, while the API server is there and away.
mod access;
// Whose numbers a target has: owners up the chain, Services, Namespaces.
mod discovery;
// What kubectl reads, finds and describes.
mod kubectl;
// What Plimsoll shows of an autoscaler, beside what the controller says of it.
mod own_metrics;
// PodMonitors and ServiceMonitors that come while Plimsoll runs, and the Secrets they name.
mod monitors;
// The API server goes away and comes back.
mod outage;
// What Plimsoll does with fewer permissions.
mod permissions;
// Namespaces are deleted while Plimsoll is there, and while it is not.
mod registration;
// Which requests the controller makes, in both versions.
mod requests;
// When nothing is known, nothing is scaled down.
mod safety;
// The production overlay, from nothing.
mod installed;
// Two replicas: one is killed, deleted, replaced; the API server goes and comes.
mod replicas;
// Load up, replicas up; load down, replicas down.
mod scaling;
