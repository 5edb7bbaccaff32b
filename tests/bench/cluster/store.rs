//! The baseline: a process that keeps whole Pods as kube-rs' own reflector does. Started as `bench pod-store API_PORT`;
//! says `ready` when all are there, and follows them until it is killed.

use std::pin::pin;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::{WatchStreamExt, reflector, watcher};

/// The hidden argument.
pub const COMMAND: &str = "pod-store";

/// The process.
pub fn run(arguments: &[String]) -> std::io::Result<()> {
    let [port, ..] = arguments else { return Err(std::io::Error::other("expected API_PORT")) };
    let url = format!("http://127.0.0.1:{port}").parse().map_err(std::io::Error::other)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut config = kube::Config::new(url);
        config.proxy_url = None;
        let client = kube::Client::try_from(config).map_err(std::io::Error::other)?;
        let (reader, writer) = reflector::store();
        let events = watcher(kube::Api::<Pod>::all(client), watcher::Config::default()).default_backoff();
        let mut events = pin!(reflector(writer, events));
        let ready = async {
            drop(reader.wait_until_ready().await);
            println!("ready");
            std::future::pending::<()>().await;
        };
        let follow = async { while events.next().await.is_some() {} };
        tokio::select! { () = ready => {}, () = follow => {} }
        Ok(())
    })
}
