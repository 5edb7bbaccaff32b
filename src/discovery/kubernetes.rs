//! The cluster's API as a source of targets: what watches say of Pods, their owners, Services and monitors → the
//! targets of a job and what is known of the cluster.
//!
//! A pod counts while it runs, has an address and is not being deleted. Its identity comes from the API alone.

mod annotations;
mod answer;
mod exposure;
mod index;
mod interner;
mod material;
mod namespace;
mod owner;
mod pod;
mod reference;
mod service;
mod uid;
