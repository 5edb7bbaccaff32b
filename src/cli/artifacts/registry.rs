//! Options of push and pull: how the registry is reached, and as whom.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::artifacts::Refusal;
use crate::artifacts::registry::{Address, Credentials, Options, Registry};
use crate::config::duration;

#[derive(Debug, Args)]
pub struct Access {
    /// Without TLS, as a registry on this machine is reached.
    #[arg(long)]
    plain_http: bool,
    /// PEM bundle of authorities beside those of the machine.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// User at the registry. Default: whom Docker's configuration has for its host.
    #[arg(long, value_name = "NAME", requires = "password_file")]
    username: Option<String>,
    /// File with the password of the user.
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
    /// Folder of Docker's configuration. Default: ~/.docker
    #[arg(long, env = "DOCKER_CONFIG", value_name = "FOLDER")]
    docker_config: Option<PathBuf>,
    /// How long all of it may take.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration::parse)]
    timeout: Duration,
}

// === impl Access ===

impl Access {
    /// # Errors
    /// When a file cannot be read.
    pub fn to(self, address: Address) -> Result<Registry, Refusal> {
        let credentials = self.credentials(&address)?;
        Registry::new(
            address,
            Options { plain_http: self.plain_http, ca: self.ca_file, credentials, timeout: self.timeout },
        )
    }

    fn credentials(&self, address: &Address) -> Result<Credentials, Refusal> {
        if let (Some(username), Some(file)) = (&self.username, &self.password_file) {
            return Credentials::of_file(username, file);
        }
        let of_home = || std::env::home_dir().map(|home| home.join(".docker"));
        match self.docker_config.clone().or_else(of_home) {
            Some(folder) => Credentials::of_docker(&folder.join("config.json"), address.host()),
            None => Ok(Credentials::Anonymous),
        }
    }
}
