use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use memchr::memmem;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::container::{Contained, Container, ROOT, Storage, builder, readable_folder};
use crate::harness::program::{Program, installed};
use crate::harness::target::Target;
use crate::harness::{Answer, eventually, install_crypto};

/// Bytes; a forgotten debug section or a second copy of the binary is more.
const SIZE_MAX: u64 = 36 << 20;

/// From the signal to the end, with no request under way.
const PATIENCE: Duration = Duration::from_secs(15);

const METRICS: &str = "metrics:\n  - {name: load, gauge: {series: load, combine: sum}}\n";

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The binary as Cargo built it, before it was laid out for the image.
fn binary() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the folder of builds");
    target.join(format!("{}-unknown-linux-musl/plain/plimsoll", std::env::consts::ARCH))
}

/// The files the binary was made of, as Cargo noted them beside it.
fn sources() -> Vec<PathBuf> {
    let note = std::fs::read_to_string(binary().with_extension("d")).expect("written by Cargo");
    let (_, files) = note.split_once(": ").expect("a rule of make");
    files.trim().replace("\\ ", "\0").split(' ').map(|file| file.replace('\0', " ").into()).collect()
}

/// The files of a folder, with their modes and owners; folders end with a slash.
fn listing(folder: &Path, inside: &str, found: &mut BTreeMap<String, (u32, u32)>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let data = entry.path().symlink_metadata().expect("a file");
        let slash = if data.is_dir() { "/" } else { "" };
        let name = format!("{inside}{}{slash}", entry.file_name().to_str().expect("UTF-8"));
        if data.is_dir() {
            listing(&entry.path(), &name, found);
        }
        found.insert(name, (data.permissions().mode() & 0o7777, data.uid()));
    }
}

fn client() -> reqwest::Client {
    install_crypto();
    reqwest::Client::builder().tls_danger_accept_invalid_certs(true).no_proxy().build().expect("a client")
}

async fn get(http: &reqwest::Client, url: &str) -> Answer {
    Answer::of(http.get(url).send().await.expect("an answer")).await
}

/// The base URL of a server, from its log.
fn base(program: &Program) -> String {
    let line = program.line(&["serving", "127.0.0.1:"]);
    let address = line.split(['"', ' ', '=']).find(|word| word.starts_with("127.0.0.1:")).expect("an address");
    format!("https://{address}")
}

const SERVE: [&str; 6] = ["/plimsoll", "serve", "--config", "/etc/plimsoll/plimsoll.yaml", "--listen", "127.0.0.1:0"];

fn static_targets(url: &str, more: &str) -> String {
    format!(
        "scrape_configs:\n  - job_name: job\n    scrape_interval: 300ms\n    scrape_timeout: 250ms\n    {more}\n    \
         targets:\n      - {{url: \"{url}\", namespace: ns, pod: pod}}\n{METRICS}"
    )
}

async fn becomes_ready(base: &str) {
    let (http, url) = (client(), format!("{base}/readyz"));
    eventually(|| get(&http, &url), |answer| answer.code == 200 && answer.body == "ok").await;
}

async fn load_becomes(base: &str, value: &str) {
    let http = client();
    let url = format!("{base}/apis/custom.metrics.k8s.io/v1beta2/namespaces/ns/pods/pod/load");
    eventually(|| get(&http, &url), |answer| answer.code == 200 && answer.json()["items"][0]["value"] == value).await;
}

#[test]
fn the_binary_is_static_and_tells_nothing_of_where_it_was_built() {
    let elf = std::fs::read(builder().join("image/plimsoll")).expect("a binary");
    assert!(elf == std::fs::read(binary()).expect("a binary"), "it was built again; run `make static`");
    assert_eq!(interpreter(&elf), None, "it needs a dynamic loader, which the image does not have");
    for place in [ROOT.to_owned(), std::env::var("HOME").expect("a home") + "/.cargo"] {
        assert_eq!(memmem::find(&elf, place.as_bytes()), None, "{place} is in the binary");
    }
    assert!(memmem::find(&elf, b"/cargo/registry/src/").is_some(), "files of crates are called otherwise");
}

/// The dynamic loader that a program for 64 bits asks for: its segment PT_INTERP.
fn interpreter(elf: &[u8]) -> Option<String> {
    assert_eq!(elf[..6], [0x7f, b'E', b'L', b'F', 2, 1], "no ELF of 64 bits, little endian");
    let number = |at: usize, bytes: usize| {
        elf[at..at + bytes].iter().rev().fold(0_usize, |number, byte| number << 8 | usize::from(*byte))
    };
    let (start, size, count) = (number(0x20, 8), number(0x36, 2), number(0x38, 2));
    let mut segments = (0..count).map(|index| start + index * size);
    let segment = segments.find(|at| number(*at, 4) == 3)?;
    let (offset, length) = (number(segment + 8, 8), number(segment + 32, 8));
    Some(String::from_utf8_lossy(&elf[offset..offset + length]).into_owned())
}

#[test]
fn an_interpreter_is_found_where_there_is_one() {
    let elf = std::fs::read(std::env::current_exe().expect("this test")).expect("a binary");
    assert!(interpreter(&elf).is_some_and(|loader| loader.contains("ld-linux") || loader.contains("ld-musl")));
}

#[test]
fn the_binary_is_of_the_sources_that_are_here() {
    let time = |path: &Path| path.metadata().and_then(|data| data.modified()).expect("a file");
    let (built, all) = (time(&binary()), sources());
    assert!(all.len() > 100 && all.contains(&Path::new(ROOT).join("src/main.rs")), "{all:?}");
    let newer: Vec<_> = all.iter().filter(|source| time(source) > built).collect();
    assert!(newer.is_empty(), "the image would be tested as it was before; run `make static`: {newer:?}");
}

#[test]
fn the_image_has_the_binary_and_the_roots_and_nothing_else() {
    let container = Container::new();
    let mut found = BTreeMap::new();
    listing(&container.root(), "/", &mut found);
    let expected = [
        ("/etc/", 0o755),
        ("/etc/ssl/", 0o755),
        ("/etc/ssl/certs/", 0o755),
        ("/etc/ssl/certs/ca-certificates.crt", 0o444),
        ("/plimsoll", 0o555),
    ];
    assert_eq!(found, expected.map(|(name, mode)| (name.to_owned(), (mode, 0))).into());
    let size = |path: &str| container.root().join(path).metadata().expect("a file").len();
    let (binary, roots) = (size("plimsoll"), size("etc/ssl/certs/ca-certificates.crt"));
    assert!(binary + roots < SIZE_MAX, "{binary} bytes of binary, {roots} of roots");
    let roots = std::fs::read_to_string(container.root().join("etc/ssl/certs/ca-certificates.crt")).expect("PEM");
    assert!(roots.matches("BEGIN CERTIFICATE").count() > 50, "the usual roots are more than a hundred");
}

#[test]
fn what_the_image_says_of_itself() {
    let storage = Storage::new();
    storage.build(&builder());
    let image = &storage.inspect()["OCIv1"];
    assert_eq!((&image["os"], &image["created"]), (&json!("linux"), &json!("2023-11-14T22:13:20Z")));
    let config = &image["config"];
    let mut labels: BTreeMap<String, String> = serde_json::from_value(config["Labels"].clone()).expect("labels");
    let revision = labels.remove("org.opencontainers.image.revision").expect("a revision");
    let is_commit = revision.trim_end_matches("-dirty").chars().all(|c| c.is_ascii_hexdigit());
    assert!(revision == "unknown" || is_commit && revision.len() >= 40, "{revision}");
    let expected = [
        ("created", "2023-11-14T22:13:20Z"),
        ("description", env!("CARGO_PKG_DESCRIPTION")),
        ("licenses", env!("CARGO_PKG_LICENSE")),
        ("title", env!("CARGO_PKG_NAME")),
        ("version", env!("CARGO_PKG_VERSION")),
    ];
    let expected = expected.map(|(key, value)| (format!("org.opencontainers.image.{key}"), value.to_owned()));
    assert_eq!(labels, expected.into());
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["ExposedPorts"], json!({"10250/tcp": {}}));
    assert_eq!((&config["Entrypoint"], &config["Cmd"]), (&json!(["/plimsoll"]), &Value::Null));
    let environment = config["Env"].as_array().expect("variables");
    assert!(environment.iter().all(|entry| entry.as_str().is_some_and(|entry| entry.starts_with("PATH="))));
}

#[test]
fn two_builds_give_one_digest() {
    let digests = || {
        let storage = Storage::new();
        // Laid out at another time, in another place.
        let copy = tempfile::tempdir().expect("a folder");
        let copied = std::process::Command::new("cp").arg("-r").arg(builder().join("image")).arg(copy.path()).status();
        assert!(copied.expect("cp").success());
        storage.build(copy.path());
        let image = storage.inspect();
        (image["FromImageDigest"].clone(), image["OCIv1"]["rootfs"]["diff_ids"].clone())
    };
    let (first, second) = (digests(), digests());
    assert!(first.0.as_str().is_some_and(|digest| digest.starts_with("sha256:")), "{first:?}");
    assert_eq!(first.1.as_array().map(Vec::len), Some(1), "one layer: {first:?}");
    assert_eq!(first, second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_serves_as_nobody_and_ends_on_sigterm() {
    let target = Target::page("load 5\n").await;
    let folder = readable_folder(&[("plimsoll.yaml", &static_targets(&target.url, ""))]);
    let container = Container::new();
    let mut running = container.start(Some(folder.path()), &SERVE);
    let base = base(&running.program);
    becomes_ready(&base).await;
    load_becomes(&base, "5").await;
    assert_is_nobody(&running);
    // As `kubectl exec` starts a second one beside it.
    let checked = container.output(Some(folder.path()), &["/plimsoll", "check", "/etc/plimsoll/plimsoll.yaml"]);
    assert!(checked.status.success(), "{checked:?}");
    assert_eq!(running.end("TERM", PATIENCE), Some(0), "{}", running.program.output());
}

fn assert_is_nobody(running: &Contained) {
    for (field, value) in
        [("Uid", "65532 65532 65532 65532"), ("Gid", "65532 65532 65532 65532"), ("CapEff", "0000000000000000")]
    {
        assert_eq!(running.status(field), value, "{field}");
    }
}

#[test]
fn the_entrypoint_takes_commands_as_arguments() {
    let container = Container::new();
    let said = |arguments: &[&str]| {
        let output = container.output(None, arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    assert_eq!(said(&["/plimsoll", "--version"]), concat!("plimsoll ", env!("CARGO_PKG_VERSION"), "\n"));
    assert!(said(&["/plimsoll", "schema"]).contains("Plimsoll configuration"));
    let output = container.output(None, &["sh"]);
    assert!(!output.status.success(), "there is a shell in the image");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_root_that_is_read_only_is_enough() {
    let target = Target::page("load 7\n").await;
    let container = Container::new();
    let root = container.root();
    std::fs::create_dir(root.join("etc/plimsoll")).expect("made");
    std::fs::write(root.join("etc/plimsoll/plimsoll.yaml"), static_targets(&target.url, "")).expect("written");
    let mut command = installed("unshare", "util-linux");
    // No /proc, /dev or /sys either, and nothing in the environment.
    command.args(["--mount", "--", "sh", "-c", READ_ONLY, "sh"]).arg(&root).args(SERVE);
    let mut program = Program::start(command);
    let base = base(&program);
    becomes_ready(&base).await;
    load_becomes(&base, "7").await;
    program.signal("TERM");
    assert_eq!(program.wait(PATIENCE).code(), Some(0), "{}", program.output());
}

/// Arguments: the folder, and the command in it. Each program takes the place of the one before, so it is one process.
const READ_ONLY: &str = r#"
root=$1 && shift && mount --bind "$root" "$root" && mount -o remount,bind,ro "$root" &&
  ! touch "$root/file" 2>/dev/null &&
  exec env -i "$(command -v chroot)" --userspec=65532:65532 "$root" "$@""#;

/// Certificates of an authority that nobody knows, and a page behind one: targets at `/targets`, metrics elsewhere.
struct Private {
    authority: String,
    port: u16,
}

// === impl Private ===

impl Private {
    async fn start() -> Self {
        install_crypto();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
        let certificate = certificate.signed_by(&key, &issuer).expect("a certificate");
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = rustls::ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![certificate.der().clone()], key.into()).expect("a pair");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut head = [0_u8; 4096];
                let length = stream.read(&mut head).await.unwrap_or_default();
                drop(stream.write_all(answer(&head[..length], port).as_bytes()).await);
                drop(stream.shutdown().await);
            }
        });
        Self { authority: issuer.pem(), port }
    }

    /// A configuration that finds its target by the endpoint.
    fn discovered(&self, more: &str) -> String {
        let port = self.port;
        format!(
            "scrape_configs:\n  - job_name: job\n    scrape_interval: 300ms\n    scrape_timeout: 250ms\n    {more}\n    \
             http_sd_configs: [{{url: \"https://127.0.0.1:{port}/targets\", refresh_interval: 200ms}}]\n{METRICS}"
        )
    }
}

fn answer(head: &[u8], port: u16) -> String {
    let labels = json!({"__scheme__": "https", "namespace": "ns", "pod": "pod"});
    let (kind, body) = match head.starts_with(b"GET /targets ") {
        true => ("application/json", json!([{"targets": [format!("127.0.0.1:{port}")], "labels": labels}]).to_string()),
        false => ("text/plain", "load 9\n".to_owned()),
    };
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A container whose roots are these.
fn container_with_roots(pem: &str) -> Container {
    let copy = tempfile::tempdir().expect("a folder");
    let image = copy.path().join("image");
    std::fs::create_dir_all(image.join("etc/ssl/certs")).expect("made");
    std::fs::copy(builder().join("image/plimsoll"), image.join("plimsoll")).expect("copied");
    std::fs::write(image.join("etc/ssl/certs/ca-certificates.crt"), pem).expect("written");
    let storage = Storage::new();
    storage.build(copy.path());
    storage.container()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_and_their_list_over_https_are_trusted_by_the_roots_in_the_image() {
    let private = Private::start().await;
    let folder = readable_folder(&[("plimsoll.yaml", &private.discovered(""))]);
    let container = container_with_roots(&private.authority);
    let running = container.start(Some(folder.path()), &SERVE);
    load_becomes(&base(&running.program), "9").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_of_ones_own_is_mounted_beside_the_configuration() {
    let private = Private::start().await;
    let strange = static_targets(&format!("https://127.0.0.1:{}/metrics", private.port), "");
    let known = private.discovered("tls_config: {ca_file: ca.crt}");
    let files = [("plimsoll.yaml", known.as_str()), ("strange.yaml", &strange), ("ca.crt", &private.authority)];
    let folder = readable_folder(&files);
    let container = Container::new();
    let running = container.start(Some(folder.path()), &SERVE);
    load_becomes(&base(&running.program), "9").await;
    let strange = SERVE.map(|argument| if argument == SERVE[3] { "/etc/plimsoll/strange.yaml" } else { argument });
    let refusing = container.start(Some(folder.path()), &strange);
    refusing.program.line(&["scrape fails", "an issuer that is not trusted; set ca_file"]);
}

/// The instructions of the Dockerfile, with their lines joined.
fn instructions() -> Vec<(String, String)> {
    let text = read("deploy/docker/Dockerfile");
    let lines = text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    let joined = lines.replace("\\\n", " ");
    let words = joined.lines().filter_map(|line| line.split_once(' '));
    words.map(|(name, rest)| (name.to_owned(), rest.split_whitespace().collect::<Vec<_>>().join(" "))).collect()
}

#[test]
fn bases_are_pinned_and_the_builder_has_a_compiler_that_is_new_enough() {
    let all = instructions();
    let of = |name: &str| all.iter().filter(|(n, _)| n == name).map(|(_, rest)| rest.as_str()).collect::<Vec<_>>();
    assert_eq!(of("FROM"), ["${RUST} AS builder", "scratch AS runtime"]);
    let base = of("ARG").into_iter().find_map(|rest| rest.strip_prefix("RUST=rust:")).expect("the base of the builder");
    let (rust, system) = base.split_once("-alpine").expect("musl on its own architecture");
    let numbers = |version: &str| version.split('.').map(|n| n.parse().expect("a number")).collect::<Vec<u32>>();
    assert_eq!((numbers(rust).len(), numbers(system).len()), (3, 2), "{base} moves");
    assert!(numbers(rust) >= numbers(env!("CARGO_PKG_RUST_VERSION")), "{rust} is too old for Cargo.toml");
}

#[test]
fn the_builder_stage_gets_the_files_that_the_binary_is_made_of_and_no_other() {
    let (storage, folder) = (Storage::new(), tempfile::tempdir().expect("a folder"));
    let sources_stage: String = instructions()
        .iter()
        .filter(|(name, rest)| name == "COPY" && !rest.starts_with("--from"))
        .map(|(name, rest)| format!("{name} {rest}\n"))
        .collect();
    let file = folder.path().join("Dockerfile");
    let file = file.to_str().expect("UTF-8");
    let files = |text: &str, tag: &str| {
        std::fs::write(file, text).expect("written");
        storage.buildah(&["build", "--pull-never", "--tag", tag, "--file", file, ROOT]);
        let name = storage.buildah(&["from", "--pull-never", tag]);
        let mut found = BTreeMap::new();
        listing(Path::new(storage.buildah(&["mount", name.trim()]).trim()), "", &mut found);
        found.into_keys().filter(|name| !name.ends_with('/')).collect::<BTreeSet<_>>()
    };
    let copied = files(&format!("FROM scratch\n{sources_stage}"), "copied");
    let inside = |source: &PathBuf| source.strip_prefix(ROOT).expect("in the repository").display().to_string();
    let needed: Vec<_> = sources().iter().map(inside).chain(["Cargo.toml".into(), "Cargo.lock".into()]).collect();
    let missing: Vec<_> = needed.iter().filter(|file| !copied.contains(*file)).collect();
    assert!(missing.is_empty(), "the builder stage lacks {missing:?}");
    assert_eq!(files("FROM scratch\nCOPY . /\n", "context"), copied, "what .dockerignore lets in is copied");
}
