//! Plimsoll as a process beside the control plane that serves nothing through it: it discovers and scrapes with the
//! permissions of its user, and is asked directly.

use std::net::SocketAddr;

use super::direct::Direct;
use super::eventually;
use super::programs::Premises;
use crate::harness::program::Program;

/// A Plimsoll of its own. Dropped, it ends.
pub struct Unregistered {
    pub direct: Direct,
    program: Program,
}

// === impl Unregistered ===

impl Unregistered {
    /// As this user, who has the permissions that a test gives.
    pub(super) async fn start(premises: &Premises, user: &str, config: &str) -> Self {
        let address = SocketAddr::from((premises.network.node(), premises.network.free_port()));
        let config = premises.folder.write(&format!("plimsoll-{}.yaml", address.port()), config);
        let program = Program::start(premises.plimsoll(address, &config, &premises.user(user)));
        let unregistered = Self { direct: Direct::new(premises, address, &premises.authority.pem), program };
        eventually("Plimsoll answers", || unregistered.direct.get("/livez"), Option::is_some).await;
        unregistered
    }
}

impl Drop for Unregistered {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- plimsoll, not registered\n{}", super::last_lines(&self.program));
        }
    }
}
