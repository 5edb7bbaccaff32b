//! A real registry for OCI artifacts on loopback, and a way to it that breaks.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use super::program::{Program, free_port, installed};

/// A running docker-registry with storage of its own.
pub struct Registry {
    /// Host and port.
    pub address: String,
    folder: TempDir,
    _program: Program,
}

/// The only user there is, where there is one.
pub const USER: &str = "ada";
pub const PASSWORD: &str = "load-line";

/// The password by bcrypt, with few rounds.
const HTPASSWD: &str = "ada:$2b$05$5sYmGgEv1Q8.jrvhO2ikUOWxnIKM1emY.nlKx6KF0J4iWIhuf99ja\n";

// === impl Registry ===

impl Registry {
    /// One that takes all from anybody.
    pub fn open() -> Self {
        Self::start("", "")
    }

    /// The same by TLS, with the certificate that [`Registry::certificate`] names.
    pub fn secured() -> Self {
        Self::start(", tls: {certificate: FOLDER/certificate.pem, key: FOLDER/key.pem}", "")
    }

    /// One that answers 401 to anybody but its user.
    pub fn locked() -> Self {
        Self::start("", "auth: {htpasswd: {realm: registry, path: FOLDER/htpasswd}}\n")
    }

    /// `http` and `more` are in its configuration, with its folder as `FOLDER`.
    fn start(http: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let address = format!("127.0.0.1:{}", free_port());
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
        let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        write("htpasswd", HTPASSWD);
        write("certificate.pem", &pair.cert.pem());
        write("key.pem", &pair.signing_key.serialize_pem());
        let config = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: FOLDER/storage}}}}\n\
             http: {{addr: '{address}', secret: test{http}}}\n{more}"
        );
        write("config.yml", &config.replace("FOLDER", &folder.path().display().to_string()));
        let mut command = installed("docker-registry", "docker-registry");
        command.arg("serve").arg(folder.path().join("config.yml"));
        let program = Program::start(command);
        program.line(&["listening on"]);
        Self { address, folder, _program: program }
    }

    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    /// The file in which it keeps what has a digest.
    pub fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").expect("a digest");
        let blobs: &Path = "storage/docker/registry/v2/blobs/sha256".as_ref();
        self.folder.path().join(blobs).join(&hex[..2]).join(hex).join("data")
    }
}

/// The address of a way to a server on which no more than so many bytes pass, in each direction; then it breaks off.
pub fn breaking_way(to: &str, bytes_max: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    let (to, left) = (to.to_owned(), Arc::new([AtomicUsize::new(bytes_max), AtomicUsize::new(bytes_max)]));
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(&to).expect("the server runs");
            let ways = [(&client, &server), (&server, &client)];
            for (index, (from, into)) in ways.into_iter().enumerate() {
                let (from, into) = (from.try_clone().expect("a socket"), into.try_clone().expect("a socket"));
                let left = left.clone();
                std::thread::spawn(move || pass(&from, &into, &left[index]));
            }
        }
    });
    address
}

fn pass(mut from: &TcpStream, mut into: &TcpStream, left: &AtomicUsize) {
    let mut piece = [0; 1024];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        let is_enough = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(count)).is_ok();
        if !is_enough || into.write_all(&piece[..count]).is_err() {
            break;
        }
    }
    let _: [_; 2] = [from, into].map(|socket| socket.shutdown(Shutdown::Both));
}
