//! The credential plugin of a kubeconfig: a program that prints a token or a client certificate.
//!
//! A configuration with such a plugin goes in, one with what it printed comes out; or one line on why not. What a
//! plugin is given and what it prints are secrets: of its arguments, its variables and its output nothing is ever told,
//! and of its errors the first line.

use std::error::Error;
use std::ffi::OsStr;
use std::io::{self, IsTerminal, stdin};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use k8s_openapi::ByteString;
use kube::client::AuthError;
use kube::config::{ExecConfig, ExecInteractiveMode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::time::{sleep, timeout};

use crate::model::excerpt;

/// What the plugin prints, as far as it is looked at.
#[derive(Deserialize)]
struct Credential {
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    token: Option<String>,
    /// In PEM form, as the key is.
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

/// Ends with its owner.
struct Running(Child);

/// An error with a text of its own in place of one that tells secrets.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Told(String);

/// Plugins ask a server of the cloud, some of them twice.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// One that may ask a person, who logs in somewhere.
const PERSON_TIMEOUT: Duration = Duration::from_secs(180);

/// How often it is looked whether it has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Tokens and chains of certificates have a hundredth of it.
const OUTPUT_BYTES_MAX: u64 = 1 << 20;

const NO_CREDENTIAL: &str = "prints no ExecCredential";
const NO_STATUS: &str = "prints an ExecCredential without a status";

/// The same configuration with what its plugin prints now, which is asked once. Without a plugin it stays as it is.
///
/// # Errors
/// One line that names the plugin, and why it gives no credentials.
pub async fn resolved(mut config: kube::Config) -> Result<kube::Config, String> {
    let user = &mut config.auth_info;
    let is_other = user.username.is_some() || user.token.is_some() || user.token_file.is_some();
    let Some(plugin) = user.exec.take().filter(|_| !is_other) else { return Ok(config) };
    let name = name(plugin.command.as_deref().unwrap_or_default());
    let is_interactive = asks(&plugin);
    if !is_interactive && plugin.interactive_mode == Some(ExecInteractiveMode::Always) {
        return Err(told(&name, "has to ask a person, and there is no terminal"));
    }
    let limit = limit(is_interactive);
    let Status { token, client_certificate_data: certificate, client_key_data: key } =
        printed(&plugin, is_interactive, limit).await.map_err(|what| told(&name, &what))?;
    let encoded = |pem: String| json!(ByteString(pem.into_bytes())).as_str().map(str::to_owned);
    user.token = token.map(Into::into);
    if let Some((certificate, key)) = certificate.zip(key) {
        user.client_certificate_data = encoded(certificate);
        user.client_key_data = encoded(key).map(Into::into);
    }
    Ok(config)
}

/// How long the plugin of a configuration may take.
pub fn patience(config: &kube::Config) -> Duration {
    limit(config.auth_info.exec.as_ref().is_some_and(asks))
}

/// Whether a plugin may ask a person.
fn asks(plugin: &ExecConfig) -> bool {
    stdin().is_terminal() && plugin.interactive_mode != Some(ExecInteractiveMode::Never)
}

fn limit(is_interactive: bool) -> Duration {
    if is_interactive { PERSON_TIMEOUT } else { ANSWER_TIMEOUT }
}

/// The plugin of a configuration, as it is called in messages.
pub fn plugin(config: &kube::Config) -> String {
    let exec = config.auth_info.exec.as_ref();
    exec.and_then(|exec| exec.command.as_deref()).map_or_else(|| "without a name".into(), name)
}

/// Replaces an error of a plugin, wherever it is among the causes, by one that tells no secrets.
pub fn without_secrets(plugin: &str, error: Box<dyn Error + Send + Sync>) -> Box<dyn Error + Send + Sync> {
    match described(plugin, &*error) {
        Some(text) => Box::new(Told(text)),
        None => error,
    }
}

/// What an error says when its cause is a credential plugin; `None` for any other.
pub fn described(plugin: &str, error: &(dyn Error + 'static)) -> Option<String> {
    let what = match causes(error).find_map(|cause| cause.downcast_ref::<AuthError>())? {
        AuthError::AuthExecRun { out, .. } => failed(out.status, &out.stderr),
        AuthError::AuthExecStart(error) => format!("does not start: {error}"),
        AuthError::AuthExecParse(_) => NO_CREDENTIAL.into(),
        AuthError::ExecPluginFailed => NO_STATUS.into(),
        // The output of a command is in the text.
        AuthError::AuthExec(_) => "gives no token".into(),
        _ => return None,
    };
    Some(told(plugin, &what))
}

/// An error, and what it comes from.
pub fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

fn told(plugin: &str, what: &str) -> String {
    format!("the credential plugin {plugin} of the kubeconfig {what}")
}

/// What the plugin prints, or what it does instead.
async fn printed(plugin: &ExecConfig, is_interactive: bool, limit: Duration) -> Result<Status, String> {
    let mut command = command(plugin, is_interactive);
    let mut running = Running(command.spawn().map_err(|error| match &plugin.install_hint {
        Some(hint) => format!("does not start: {error}: {}", excerpt(hint)),
        None => format!("does not start: {error}"),
    })?);
    let (output, errors) = (running.0.stdout.take().map(OwnedFd::from), running.0.stderr.take().map(OwnedFd::from));
    let ended = timeout(limit, async { tokio::join!(running.ended(), whole(output), whole(errors)) }).await;
    let Ok((status, output, errors)) = ended else {
        return Err(format!("does not answer within {} s", limit.as_secs()));
    };
    let status = status.map_err(|error| format!("cannot be awaited: {error}"))?;
    if !status.success() {
        return Err(failed(status, &errors.unwrap_or_default()));
    }
    // Some print YAML; an error would show the place, and so a secret.
    let read: Result<Credential, _> = serde_saphyr::from_slice(&output.unwrap_or_default());
    let credential = read.map_err(|_| NO_CREDENTIAL.to_owned())?;
    credential.status.ok_or_else(|| NO_STATUS.to_owned())
}

fn command(plugin: &ExecConfig, is_interactive: bool) -> Command {
    let mut command = Command::new(plugin.command.as_deref().unwrap_or_default());
    command.args(plugin.args.iter().flatten());
    let variables = plugin.env.iter().flatten();
    command.envs(variables.filter_map(|entry| Some((entry.get("name")?, entry.get("value")?))));
    command.env("KUBERNETES_EXEC_INFO", asked(plugin, is_interactive).to_string());
    // A person has to see what is asked; of what nobody sees the first line is told.
    let (stdin, stderr) =
        if is_interactive { (Stdio::inherit(), Stdio::inherit()) } else { (Stdio::null(), Stdio::piped()) };
    command.stdin(stdin).stderr(stderr).stdout(Stdio::piped());
    command
}

/// What the plugin is told.
fn asked(plugin: &ExecConfig, is_interactive: bool) -> Value {
    let mut spec = json!({ "interactive": is_interactive });
    if let Some(cluster) = plugin.cluster.as_ref().filter(|_| plugin.provide_cluster_info) {
        spec["cluster"] = json!(cluster);
    }
    json!({"kind": "ExecCredential", "apiVersion": plugin.api_version, "spec": spec})
}

/// Without a thread of its own, which would wait as long as any process has the other end.
async fn whole(pipe: Option<OwnedFd>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        Receiver::from_owned_fd(pipe)?.take(OUTPUT_BYTES_MAX).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

fn failed(status: ExitStatus, errors: &[u8]) -> String {
    let text = String::from_utf8_lossy(errors);
    match text.lines().map(str::trim).find(|line| !line.is_empty()) {
        Some(line) => format!("fails ({status}): {}", excerpt(&line)),
        None => format!("fails ({status})"),
    }
}

/// The file of a program, without its folder.
fn name(command: &str) -> String {
    excerpt(&Path::new(command).file_name().and_then(OsStr::to_str).unwrap_or(command))
}

// === impl Running ===

impl Running {
    async fn ended(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            sleep(POLL_INTERVAL).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended by itself in most cases.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plugin that is a script of the shell, with a secret in each place.
    fn plugin_of(script: &str) -> kube::Config {
        let mut config = kube::Config::new("https://127.0.0.1:1".parse().expect("a URL"));
        let plugin = json!({
            "apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/sh", "interactiveMode": "Never",
            "args": ["-c", script, "hush-argument"], "env": [{"name": "PASSWORD", "value": "hush-variable"}],
        });
        config.auth_info.exec = Some(serde_json::from_value(plugin).expect("a plugin"));
        config
    }

    async fn refused(script: &str) -> String {
        resolved(plugin_of(script)).await.expect_err("no credentials")
    }

    #[tokio::test]
    async fn what_the_plugin_prints_takes_its_place() {
        let script = r#"echo "{\"status\": {\"token\": \"$PASSWORD\"}}""#;
        let token = resolved(plugin_of(script)).await.expect("a token").auth_info;
        assert!(token.token.is_some() && token.exec.is_none());
        let script = "echo 'status: {clientCertificateData: certificate, clientKeyData: key}'";
        let pair = resolved(plugin_of(script)).await.expect("a pair").auth_info;
        assert_eq!(pair.client_certificate_data.as_deref(), Some("Y2VydGlmaWNhdGU="));
        assert!(pair.client_key_data.is_some() && pair.token.is_none());
        let asked = r#"case "$KUBERNETES_EXEC_INFO" in *'"interactive":false'*) echo 'status: {token: t}';; esac"#;
        assert!(resolved(plugin_of(asked)).await.is_ok(), "it is told that nobody can be asked");
    }

    #[tokio::test]
    async fn a_plugin_that_fails_is_named_and_none_of_its_secrets() {
        let failing = "echo hush-output; echo 'log in first' >&2; echo hush-more >&2; exit 3";
        let text = refused(failing).await;
        assert_eq!(text, "the credential plugin sh of the kubeconfig fails (exit status: 3): log in first");
        for script in
            ["echo 'token: hush-output'", "echo '{\"status\": {\"token\": [\"hush-output\"]}}'", "echo '\"hush'"]
        {
            let text = refused(script).await;
            assert!(text.contains("ExecCredential") && !text.contains("hush"), "{text}");
        }
        let mut absent = plugin_of("");
        absent.auth_info.exec.as_mut().expect("a plugin").command = Some("/nowhere/login".into());
        let text = resolved(absent).await.expect_err("no program");
        assert!(
            text.starts_with("the credential plugin login of the kubeconfig does not start: No such file"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_plugin_that_does_not_answer_is_ended_in_time() {
        let config = plugin_of("sleep 1000");
        let plugin = config.auth_info.exec.expect("a plugin");
        let ended = printed(&plugin, false, Duration::from_millis(50)).await;
        assert_eq!(ended.err(), Some("does not answer within 0 s".into()));
    }

    /// The client runs it by itself where a token ends while it is used.
    #[tokio::test]
    async fn errors_of_the_client_tell_no_secrets_either() {
        rustls::crypto::ring::default_provider().install_default().ok();
        for (script, said) in
            [("echo hush-output; echo no >&2; exit 3", "fails (exit status: 3): no"), ("echo hush", NO_CREDENTIAL)]
        {
            let config = plugin_of(script);
            let plugin = plugin(&config);
            let error = kube::Client::try_from(config).err().expect("no credentials");
            assert!(error.to_string().contains("hush"), "kube tells it: {error}");
            let told = without_secrets(&plugin, Box::new(error)).to_string();
            assert_eq!(told, format!("the credential plugin sh of the kubeconfig {said}"));
        }
        let other = without_secrets("sh", Box::new(kube::Error::TlsRequired));
        assert!(other.downcast_ref::<kube::Error>().is_some(), "other errors stay what they are");
    }
}
