//! Who one is to a registry: a user by name, one that Docker's configuration has, or nobody.

use std::fmt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oci_client::secrets::RegistryAuth;
use serde_json::Value;

use crate::artifacts::Refusal;
use crate::config::{Secret, read_text};

/// A password is in a file, never on a command line that others see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    Anonymous,
    Basic {
        username: String,
        password: Secret,
        /// Where they come from, for messages.
        origin: String,
    },
}

/// Such a configuration has some lines per registry.
const CONFIG_SIZE_MAX: u64 = 4 << 20;

const PASSWORD_SIZE_MAX: u64 = 64 << 10;

// === impl Credentials ===

impl Credentials {
    /// # Errors
    /// When the file with the password cannot be read.
    pub fn of_file(username: &str, file: &Path) -> Result<Self, Refusal> {
        let text = read_text(file, PASSWORD_SIZE_MAX).map_err(|what| Refusal::new(file.display(), what))?;
        let password = Secret::new(text.trim_end_matches(['\r', '\n']));
        Ok(Self::Basic { username: username.to_owned(), password, origin: file.display().to_string() })
    }

    /// Those for a host that `docker login` left, if any.
    ///
    /// # Errors
    /// When there is something for the host that is of no use.
    pub fn of_docker(file: &Path, host: &str) -> Result<Self, Refusal> {
        if !file.exists() {
            return Ok(Self::Anonymous);
        }
        let refused = |what: String| Refusal::new(file.display(), what);
        let text = read_text(file, CONFIG_SIZE_MAX).map_err(refused)?;
        let tree: Value = serde_json::from_str(&text).map_err(|error| refused(error.to_string()))?;
        let keys = keys(host);
        let Some(entry) = keys.iter().find_map(|key| tree["auths"].get(key)) else {
            return Ok(Self::Anonymous);
        };
        if let Some(auth) = entry["auth"].as_str().filter(|auth| !auth.is_empty()) {
            let (username, password) = decoded(auth).ok_or_else(|| {
                refused(format!("what it has for {host} is no user and password in base64; log in again"))
            })?;
            return Ok(Self::Basic { username, password: Secret::new(password), origin: file.display().to_string() });
        }
        let program = keys.iter().find_map(|key| tree["credHelpers"][key].as_str()).or(tree["credsStore"].as_str());
        let kept =
            program.map_or_else(|| "in a form that is not read".into(), |name| format!("by docker-credential-{name}"));
        Err(refused(format!("the credentials for {host} are kept {kept}; give --username and --password-file")))
    }

    pub fn auth(&self) -> RegistryAuth {
        match self {
            Self::Anonymous => RegistryAuth::Anonymous,
            Self::Basic { username, password, .. } => {
                RegistryAuth::Basic(username.clone(), password.expose().to_owned())
            }
        }
    }
}

impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("a client without credentials"),
            Self::Basic { username, origin, .. } => write!(f, "user {username} with the password of {origin}"),
        }
    }
}

/// As Docker and its relatives write a host; Docker Hub has a name from before.
fn keys(host: &str) -> Vec<String> {
    let mut keys =
        vec![host.to_owned(), format!("https://{host}"), format!("https://{host}/v1/"), format!("https://{host}/v2/")];
    if host == "docker.io" {
        keys.push("https://index.docker.io/v1/".to_owned());
    }
    keys
}

fn decoded(auth: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(auth.trim()).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    Some((username.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_docker(text: &str, host: &str) -> Result<Credentials, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config.json");
        std::fs::write(&file, text).expect("written");
        Credentials::of_docker(&file, host).map_err(|refusal| refusal.what)
    }

    #[test]
    fn what_docker_login_left_is_found_by_its_host() {
        // printf ada:load:line | base64
        let text = r#"{"auths": {"ghcr.io": {"auth": "YWRhOmxvYWQ6bGluZQ=="}}}"#;
        let auth = |host| of_docker(text, host).map(|credentials| credentials.auth());
        assert_eq!(auth("ghcr.io"), Ok(RegistryAuth::Basic("ada".into(), "load:line".into())));
        assert_eq!(auth("quay.io"), Ok(RegistryAuth::Anonymous));
        let hub = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "YWRhOmxvYWQ6bGluZQ=="}}}"#;
        assert!(matches!(of_docker(hub, "docker.io"), Ok(Credentials::Basic { .. })));
        assert_eq!(Credentials::of_docker(Path::new("/nonexistent"), "ghcr.io"), Ok(Credentials::Anonymous));
    }

    #[test]
    fn what_is_of_no_use_is_said() {
        let kept = of_docker(r#"{"auths": {"ghcr.io": {}}, "credsStore": "pass"}"#, "ghcr.io").expect_err("refused");
        assert!(kept.contains("docker-credential-pass"), "{kept}");
        let garbled = of_docker(r#"{"auths": {"ghcr.io": {"auth": "%%%"}}}"#, "ghcr.io").expect_err("refused");
        assert!(garbled.contains("no user and password in base64"), "{garbled}");
        assert!(of_docker("{", "ghcr.io").is_err());
    }

    #[test]
    fn a_password_is_shown_nowhere() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("password");
        std::fs::write(&file, "load-line\n").expect("written");
        let credentials = Credentials::of_file("ada", &file).expect("credentials");
        assert_eq!(credentials.auth(), RegistryAuth::Basic("ada".into(), "load-line".into()));
        assert!(!format!("{credentials:?} {credentials}").contains("load-line"));
    }
}
