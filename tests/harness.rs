//! The real server on a free port, fake targets with scripted behaviour, and real programs as children.

pub mod cluster_api;
pub mod container;
pub mod controlplane;
pub mod crowd;
pub mod history;
pub mod kube_api;
pub mod pace;
pub mod pages;
pub mod pki;
pub mod platform;
pub mod program;
pub mod prometheus;
pub mod promql;
pub mod registry;
