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

// When nothing is known, nothing is scaled down.
mod safety;
// Load up, replicas up; load down, replicas down.
mod scaling;
