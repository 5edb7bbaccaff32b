//! `plimsoll artifacts` as a user has it: the program, a real registry, a real Prometheus.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use plimsoll::artifacts::{Bundle, Changelog, Digest};
use plimsoll::catalog::{Catalog, Files, Metric, Origin, Unit};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::program::{PLIMSOLL, installed};
use crate::harness::prometheus::Prometheus;
use crate::harness::registry::{PASSWORD, Registry, USER, breaking_way};
use crate::harness::{Plimsoll, eventually};

/// How a command ended, and what it said.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// A folder to work in, and in it `bundle.tar.gz`.
struct Scene(TempDir);

fn plimsoll(folder: &Path, arguments: &[&str]) -> Ended {
    let mut command = Command::new(PLIMSOLL);
    command.arg("artifacts").args(arguments).current_dir(folder).env("DOCKER_CONFIG", folder.join("docker"));
    let output = command.env_remove("SOURCE_DATE_EPOCH").output().expect("plimsoll runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn sha256(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}

/// A bundle of a dashboard that asks these queries.
fn bundle(version: &str, catalog: &Catalog, queries: &[&str]) -> Bundle {
    let targets: Vec<_> = queries.iter().map(|query| json!({"refId": "A", "expr": query})).collect();
    let panels = json!([{"id": 1, "title": "Panel", "targets": targets}]);
    let mut files = Files::default();
    files
        .add("dashboards/one.json", json!({"uid": "one", "title": "One", "panels": panels}).to_string())
        .expect("a path of its own");
    // What no compression makes small: a way that breaks has to break within it.
    let noise: String = (0..2000_u32).map(|number| Digest::of(&number.to_le_bytes()).hex().to_owned()).collect();
    files.add("alert-rules/runbooks/Noise.md", noise).expect("a path of its own");
    let changelog = Changelog { text: format!("## {version}\n") };
    let made = Bundle::of(catalog, files, &version.parse().expect("a version"), &changelog, None);
    made.unwrap_or_else(|refusal| panic!("{refusal}"))
}

fn queue(name: &'static str) -> Catalog {
    let queue = Metric::gauge(name, Unit::Count("messages".into()), "Messages that wait").label("queue");
    Catalog::default().with([queue.from(Origin::Service)])
}

fn sample() -> Bundle {
    bundle("1.0.0", &queue("queue_length"), &["sum by (queue) (queue_length)"])
}

// === impl Scene ===

impl Scene {
    fn new() -> Self {
        let scene = Self(tempfile::tempdir().expect("a folder"));
        scene.save("bundle.tar.gz", &sample());
        scene
    }

    fn save(&self, name: &str, bundle: &Bundle) {
        std::fs::write(self.path(name), bundle.archive().bytes).expect("written");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        plimsoll(self.0.path(), arguments)
    }

    /// Pushes the bundle, and returns the digest.
    fn push(&self, address: &str, more: &[&str]) -> String {
        let ended = self.run(&[&["push", address, "--bundle=bundle.tar.gz", "--plain-http"], more].concat());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout.split_once(' ').expect("digest and address").0.to_owned()
    }

    fn pull(&self, address: &str, folder: &str) -> Ended {
        self.run(&["pull", address, "--plain-http", "--output", folder])
    }

    /// Names of what is in the folder.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).expect("a folder");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }
}

#[test]
fn what_is_packed_twice_has_one_digest_and_sha256sum_agrees() {
    let scene = Scene::new();
    let pack = |name: &str| {
        let ended = scene.run(&["bundle", "--output", name]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout.split_whitespace().next().expect("a digest").to_owned()
    };
    let digest = pack("one.tar.gz");
    assert_eq!(digest, pack("two.tar.gz"));
    let bytes = std::fs::read(scene.path("one.tar.gz")).expect("the bundle");
    assert_eq!(sha256(&bytes), format!("sha256:{digest}"));
    std::fs::create_dir(scene.path("one")).expect("a folder");
    let command =
        "tar --extract --gzip --file one.tar.gz --directory one && cd one && sha256sum --check --strict SHA256SUMS";
    let checked = Command::new("sh").args(["-c", command]).current_dir(scene.0.path()).output().expect("sh runs");
    assert!(checked.status.success(), "{checked:?}");
    assert_eq!(
        scene.run(&["verify", "one", "--digest", &format!("sha256:{digest}")]).code,
        Some(2),
        "a folder has none"
    );
    assert_eq!(scene.run(&["verify", "one"]).code, Some(0));
    assert_eq!(scene.run(&["verify", "one.tar.gz", "--digest", &format!("sha256:{digest}")]).code, Some(0));
}

#[test]
fn what_is_generated_is_there_until_somebody_changes_it() {
    let scene = Scene::new();
    let generate = |more: &[&str]| scene.run(&[&["generate", "--output", "checkout"], more].concat());
    let missing = generate(&["--check"]);
    assert!(missing.code == Some(1) && missing.stderr.contains("artifacts.json is missing"), "{missing:?}");
    assert_eq!(generate(&[]).code, Some(0));
    assert_eq!(generate(&["--check"]).code, Some(0));
    assert_eq!(scene.run(&["verify", "checkout"]).code, Some(0));
    // A former version made one file more.
    let record = scene.path("checkout/deploy/monitoring/artifacts.json");
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&record).expect("a record")).expect("JSON");
    let old = json!({"name": "alert-rules/0.yaml", "kind": "alerts", "sha256": sha256(b"old"), "version": "1.0.0"});
    manifest["files"].as_array_mut().expect("files").insert(0, old);
    std::fs::write(&record, manifest.to_string()).expect("written");
    std::fs::create_dir_all(scene.path("checkout/alert-rules")).expect("a folder");
    std::fs::write(scene.path("checkout/alert-rules/0.yaml"), "old").expect("written");
    let stale = generate(&["--check"]);
    assert!(stale.code == Some(1) && stale.stderr.contains("alert-rules/0.yaml is made no more"), "{stale:?}");
    assert_eq!(generate(&[]).code, Some(0));
    assert!(!scene.path("checkout/alert-rules/0.yaml").exists());
    assert_eq!(generate(&["--check"]).code, Some(0));
}

#[test]
fn a_record_cannot_remove_what_is_outside_of_the_folder() {
    let scene = Scene::new();
    let generate = || scene.run(&["generate", "--output", "checkout"]);
    assert_eq!(generate().code, Some(0));
    std::fs::write(scene.path("victim.txt"), "mine").expect("written");
    let record = scene.path("checkout/deploy/monitoring/artifacts.json");
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&record).expect("a record")).expect("JSON");
    let victim = json!({"name": "../victim.txt", "kind": "other", "sha256": sha256(b"mine"), "version": "1.0.0"});
    manifest["files"].as_array_mut().expect("files").insert(0, victim);
    std::fs::write(&record, manifest.to_string()).expect("written");
    let refused = generate();
    let what = "artifacts.json: file \"../victim.txt\": the path leads out of the folder";
    assert!(refused.code == Some(1) && refused.stderr.contains(what), "{refused:?}");
    assert!(scene.path("victim.txt").exists());
    let verified = scene.run(&["verify", "checkout"]);
    assert!(verified.code == Some(1) && verified.stdout.contains(what), "{verified:?}");
}

#[test]
fn an_output_takes_the_place_of_nothing_but_itself() {
    let scene = Scene::new();
    std::fs::write(scene.path("next.tar.gz.new"), "mine").expect("written");
    std::os::unix::fs::symlink("bundle.tar.gz", scene.path("current.tar.gz")).expect("a link");
    for output in ["next.tar.gz", "current.tar.gz"] {
        assert_eq!(scene.run(&["bundle", "--output", output]).code, Some(0));
    }
    assert_eq!(std::fs::read(scene.path("next.tar.gz.new")).expect("it is there"), b"mine");
    let [next, bundle] = ["next.tar.gz", "bundle.tar.gz"].map(|name| std::fs::read(scene.path(name)).expect("a file"));
    assert!(scene.path("current.tar.gz").is_symlink() && next == bundle, "the link leads to the bundle");
    assert_eq!(scene.names(), ["bundle.tar.gz", "current.tar.gz", "next.tar.gz", "next.tar.gz.new"]);
    for device in ["/dev/full", "/dev/stdout"] {
        let refused = scene.run(&["bundle", "--output", device]);
        let what = format!("{device}: it is a device or a pipe, expected a file");
        assert!(refused.code == Some(1) && refused.stderr.contains(&what), "{refused:?}");
    }
}

#[test]
fn what_is_committed_is_what_is_generated() {
    let ended = plimsoll(Path::new(env!("CARGO_MANIFEST_DIR")), &["generate", "--check"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn what_is_pushed_to_a_registry_is_pulled_again() {
    let (scene, registry) = (Scene::new(), Registry::open());
    let address = format!("oci://{}/team/artifacts:1.0.0", registry.address);
    let digest = scene.push(&address, &[]);
    assert_eq!(digest, scene.push(&address, &[]), "the same has the same digest");
    assert_eq!(sha256(&std::fs::read(registry.blob(&digest)).expect("the manifest")), digest);

    let pulled = scene.pull(&address, "pulled");
    assert_eq!((pulled.code, pulled.stdout.starts_with(&digest)), (Some(0), true), "{pulled:?}");
    assert_eq!(scene.run(&["verify", "pulled"]).code, Some(0));
    let archive = scene.run(&["pull", &address, "--plain-http", "--output=pulled.tar.gz", "--digest", &digest]);
    assert_eq!(archive.code, Some(0), "{archive:?}");
    let read = |name| std::fs::read(scene.path(name)).expect("a file");
    assert_eq!(sha256(&read("pulled.tar.gz")), sha256(&read("bundle.tar.gz")));
    let by_digest = address.replace(":1.0.0", &format!("@{digest}"));
    assert_eq!(scene.pull(&by_digest, "by-digest").code, Some(0));

    let again = scene.pull(&address, "pulled");
    assert!(again.code == Some(1) && again.stderr.contains("the folder is not empty"), "{again:?}");
    let other = sha256(b"other");
    let refused = scene.run(&["pull", &address, "--plain-http", "--output=other", "--digest", &other]);
    assert!(refused.stderr.contains(&format!("expected {other}, found {digest}")), "{refused:?}");
    let unknown = scene.pull(&address.replace("1.0.0", "2.0.0"), "unknown");
    assert!(unknown.stderr.contains("the registry has no such tag"), "{unknown:?}");
    assert_eq!(scene.names(), ["bundle.tar.gz", "by-digest", "pulled", "pulled.tar.gz"]);
}

#[test]
fn other_programs_read_what_is_pushed() {
    let (scene, registry) = (Scene::new(), Registry::open());
    for (format, tag) in [("flux", "1.0.0"), ("grafana", "dashboards")] {
        let digest = scene.push(&format!("oci://{}/artifacts:{tag}", registry.address), &["--format", format]);
        let mut command = installed("skopeo", "skopeo");
        let (source, folder) = (format!("docker://{}/artifacts:{tag}", registry.address), format!("dir:{format}"));
        command.args(["copy", "--insecure-policy", "--src-tls-verify=false", &source, &folder]);
        let copied = command.current_dir(scene.0.path()).output().expect("skopeo runs");
        assert!(copied.status.success(), "{copied:?}");
        let text = std::fs::read(scene.path(format).join("manifest.json")).expect("the manifest");
        assert_eq!(sha256(&text), digest);
        let manifest: Value = serde_json::from_slice(&text).expect("JSON");
        let layer = manifest["layers"][0]["digest"].as_str().expect("a digest").replace("sha256:", "");
        let copied = std::fs::read(scene.path(format).join(layer)).expect("the layer");
        if format == "flux" {
            assert_eq!(copied, std::fs::read(scene.path("bundle.tar.gz")).expect("the bundle"));
        } else {
            assert_eq!(manifest["layers"][0]["annotations"]["org.opencontainers.image.title"], "one.json");
            assert_eq!(copied, sample().contents.0["dashboards/one.json"]);
        }
    }
    let other = scene.pull(&format!("oci://{}/artifacts:dashboards", registry.address), "dashboards");
    assert!(other.code == Some(1) && other.stderr.contains("it was pushed for grafana-operator"), "{other:?}");
}

#[test]
fn a_registry_that_wants_to_know_who_pushes_is_told() {
    let (scene, registry) = (Scene::new(), Registry::locked());
    let address = format!("oci://{}/artifacts:1.0.0", registry.address);
    let push =
        |more: &[&str]| scene.run(&[&["push", &address, "--bundle=bundle.tar.gz", "--plain-http"], more].concat());
    let write = |name: &str, text: &str| std::fs::write(scene.path(name), text).expect("written");
    let nobody = push(&[]);
    let expected = "the registry answers 401 to a client without credentials; give --username and --password-file";
    assert!(nobody.code == Some(1) && nobody.stderr.contains(expected), "{nobody:?}");
    assert!(nobody.stderr.contains("; the tag is as it was"), "{nobody:?}");
    write("password", "wrong\n");
    let wrong = push(&["--username", USER, "--password-file=password"]);
    assert!(wrong.stderr.contains("the registry answers 401 to user ada with the password of password"), "{wrong:?}");
    let unpulled = scene.pull(&address, "pulled");
    assert!(unpulled.code == Some(1) && unpulled.stderr.contains("the registry answers 401"), "{unpulled:?}");
    assert!(!scene.path("pulled").exists());

    write("password", &format!("{PASSWORD}\n"));
    let user = ["--username", USER, "--password-file=password"];
    let digest = scene.push(&address, &user);
    // As `docker login` leaves it; printf ada:load-line | base64
    std::fs::create_dir(scene.path("docker")).expect("a folder");
    let auths = json!({"auths": {&registry.address: {"auth": "YWRhOmxvYWQtbGluZQ=="}}});
    write("docker/config.json", &auths.to_string());
    let pulled = scene.pull(&address, "pulled");
    assert_eq!((pulled.code, pulled.stdout.starts_with(&digest)), (Some(0), true), "{pulled:?}");
}

#[test]
fn a_registry_is_believed_by_its_certificate() {
    let (scene, registry) = (Scene::new(), Registry::secured());
    let address = format!("oci://{}/artifacts:1.0.0", registry.address);
    let push = |more: &[&str]| scene.run(&[&["push", &address, "--bundle=bundle.tar.gz"], more].concat());
    let unknown = push(&[]);
    assert!(unknown.code == Some(1) && unknown.stderr.to_lowercase().contains("certificate"), "{unknown:?}");
    let plain = push(&["--plain-http"]);
    assert_eq!(plain.code, Some(1), "{plain:?}");
    let certificate = registry.certificate();
    let known = ["--ca-file", certificate.to_str().expect("UTF-8")];
    let pushed = push(&known);
    assert_eq!(pushed.code, Some(0), "{pushed:?}");
    let pulled = scene.run(&[&["pull", &address, "--output=pulled"], known.as_slice()].concat());
    assert_eq!(pulled.code, Some(0), "{pulled:?}");
}

#[test]
fn a_push_that_breaks_off_leaves_no_tag() {
    let (scene, registry) = (Scene::new(), Registry::open());
    let size = std::fs::metadata(scene.path("bundle.tar.gz")).expect("the bundle").len();
    let way = breaking_way(&registry.address, usize::try_from(size / 2).expect("a size"));
    let broken = format!("oci://{way}/artifacts:1.0.0");
    let ended = scene.run(&["push", &broken, "--bundle=bundle.tar.gz", "--plain-http"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("cannot be pushed") && ended.stderr.contains("the tag is as it was"), "{ended:?}");
    let whole = broken.replace(&way, &registry.address);
    let absent = scene.pull(&whole, "pulled");
    assert!(absent.stderr.contains("the registry has no such"), "{absent:?}");
    scene.push(&whole, &[]);
    assert_eq!(scene.pull(&whole, "pulled").code, Some(0));
}

#[test]
fn a_pull_that_breaks_off_or_brings_something_else_leaves_nothing() {
    let (scene, registry) = (Scene::new(), Registry::open());
    let address = format!("oci://{}/artifacts:1.0.0", registry.address);
    let digest = scene.push(&address, &[]);
    let size = std::fs::metadata(scene.path("bundle.tar.gz")).expect("the bundle").len();
    let way = breaking_way(&registry.address, usize::try_from(size / 2).expect("a size"));
    let broken = scene.pull(&address.replace(&registry.address, &way), "pulled");
    assert!(broken.code == Some(1) && broken.stderr.contains("oci://"), "{broken:?}");

    let manifest: Value =
        serde_json::from_slice(&std::fs::read(registry.blob(&digest)).expect("the manifest")).expect("JSON");
    let layer = registry.blob(manifest["layers"][0]["digest"].as_str().expect("a digest"));
    let mut bytes = std::fs::read(&layer).expect("the layer");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&layer, bytes).expect("written");
    let tampered = scene.pull(&address, "pulled");
    assert!(tampered.code == Some(1) && tampered.stderr.to_lowercase().contains("digest"), "{tampered:?}");
    assert_eq!(scene.names(), ["bundle.tar.gz"]);
}

/// A registry that lets everybody in, and answers whatever is asked for after that with a length and pieces of spaces, one at
/// a time.
fn spaces(length: u64, piece: usize, pause: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut requests = BufReader::new(client.try_clone().expect("a socket")).lines().map_while(Result::ok);
                while let Some(request) = requests.next() {
                    let _: usize = requests.by_ref().take_while(|line| !line.is_empty()).count();
                    let is_greeting = request.starts_with("GET /v2/ ");
                    let length = if is_greeting { 0 } else { length };
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                    let mut is_read = client.write_all(head.as_bytes()).is_ok();
                    while is_read && !is_greeting {
                        is_read = client.write_all(&vec![b' '; piece]).is_ok();
                        std::thread::sleep(pause);
                    }
                }
            });
        }
    });
    address
}

#[test]
fn a_registry_that_answers_without_end_is_not_listened_to_for_ever() {
    let scene = Scene::new();
    let address = |server: &str| format!("oci://{server}/artifacts:1.0.0");
    let huge = scene.pull(&address(&spaces(3 << 30, 1 << 20, Duration::ZERO)), "pulled");
    assert!(huge.code == Some(1) && huge.stderr.contains("its manifest has more than 4194304 bytes"), "{huge:?}");
    let slow = address(&spaces(100_000, 1, Duration::from_millis(50)));
    let started = Instant::now();
    let pulled = scene.run(&["pull", &slow, "--plain-http", "--timeout=1s", "--output=pulled"]);
    let what = "it was not done within 1s (--timeout); nothing was written";
    assert!(pulled.code == Some(1) && pulled.stderr.contains(what), "{pulled:?}");
    let pushed = scene.run(&["push", &slow, "--bundle=bundle.tar.gz", "--plain-http", "--timeout=1s"]);
    assert_eq!(pushed.code, Some(1), "{pushed:?}");
    assert!(started.elapsed() < Duration::from_secs(45), "less than a single read may take");
    assert_eq!(scene.names(), ["bundle.tar.gz"]);
}

#[test]
fn a_version_that_is_too_small_for_what_changed_fails() {
    let scene = Scene::new();
    let renamed = |version| bundle(version, &queue("queue_depth"), &["sum by (queue) (queue_depth)"]);
    scene.save("minor.tar.gz", &renamed("1.1.0"));
    scene.save("major.tar.gz", &renamed("2.0.0"));
    let minor = scene.run(&["diff", "bundle.tar.gz", "minor.tar.gz"]);
    assert_eq!(minor.code, Some(1), "{minor:?}");
    assert_eq!(minor.stderr.trim(), "version 1.1.0 is too small after 1.0.0: 2.0.0 is needed");
    assert!(minor.stdout.starts_with("major: metric queue_length is gone; is it queue_depth now?\n"), "{minor:?}");
    assert_eq!(scene.run(&["diff", "bundle.tar.gz", "major.tar.gz"]).code, Some(0));
    assert_eq!(scene.run(&["diff", "bundle.tar.gz", "bundle.tar.gz"]).code, Some(0));
    assert_eq!(scene.run(&["diff", "bundle.tar.gz", "none.tar.gz"]).code, Some(2));
    // What this program makes is neither of them.
    let refused = scene.run(&["bundle", "--previous=major.tar.gz", "--output=next.tar.gz"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("is too small after 2.0.0"), "{refused:?}");
    assert!(!scene.path("next.tar.gz").exists());
}

#[test]
fn a_manifest_is_not_believed_because_its_sums_are_right() {
    let scene = Scene::new();
    let mut contents = sample().contents;
    let mut manifest: Value = serde_json::from_slice(&contents.0["artifacts.json"]).expect("JSON");
    for field in ["dashboards", "alerts", "metricsRequired", "catalog"] {
        manifest[field] = json!({});
    }
    contents.0.insert("artifacts.json".to_owned(), manifest.to_string().into_bytes());
    contents.0.remove("SHA256SUMS");
    let sums = contents.sums().into_bytes();
    contents.0.insert("SHA256SUMS".to_owned(), sums);
    std::fs::write(scene.path("lies.tar.gz"), contents.archive().bytes).expect("written");
    let verified = scene.run(&["verify", "lies.tar.gz"]);
    assert_eq!(verified.code, Some(1));
    for what in [
        "lies.tar.gz: artifacts.json: dashboards is not what the files have",
        "lies.tar.gz: artifacts.json: metricsRequired is not what the files have",
        "lies.tar.gz: artifacts.json: catalog does not have queue_length, which is read",
    ] {
        assert!(verified.stdout.contains(what), "{verified:?}");
    }
    let compared = scene.run(&["diff", "bundle.tar.gz", "lies.tar.gz"]);
    assert!(compared.code == Some(2) && compared.stderr.contains("is not what the files have"), "{compared:?}");
}

#[test]
fn an_archive_that_was_tampered_with_is_neither_verified_nor_pushed() {
    let (scene, registry) = (Scene::new(), Registry::open());
    let mut contents = sample().contents;
    contents.0.insert("dashboards/one.json".to_owned(), b"{}".to_vec());
    contents.0.insert("dashboards/two.json".to_owned(), b"{}".to_vec());
    contents.0.remove("alert-rules/runbooks/Noise.md");
    std::fs::write(scene.path("bundle.tar.gz"), contents.archive().bytes).expect("written");
    let verified = scene.run(&["verify", "bundle.tar.gz"]);
    assert_eq!(verified.code, Some(1));
    for line in [
        "bundle.tar.gz: dashboards/one.json: it was changed",
        "bundle.tar.gz: dashboards/two.json: it was added: artifacts.json does not list it",
        "bundle.tar.gz: alert-rules/runbooks/Noise.md: it is missing",
    ] {
        assert!(verified.stdout.contains(line), "{verified:?}");
    }
    let address = format!("oci://{}/artifacts:1.0.0", registry.address);
    let pushed = scene.run(&["push", &address, "--bundle=bundle.tar.gz", "--plain-http"]);
    assert!(pushed.code == Some(1) && pushed.stderr.contains("it was changed"), "{pushed:?}");
    std::fs::write(scene.path("cut.tar.gz"), &sample().archive().bytes[..1000]).expect("written");
    let cut = scene.run(&["verify", "cut.tar.gz"]);
    assert_eq!((cut.code, cut.stdout.trim()), (Some(1), "cut.tar.gz: the gzip archive is truncated"));
    assert_eq!(scene.run(&["verify", "none.tar.gz"]).code, Some(2));
}

#[tokio::test]
async fn a_real_prometheus_says_which_query_lacks_what() {
    let scene = Scene::new();
    // A target that is down has `up` nevertheless.
    let targets = json!([{"targets": ["127.0.0.1:1"]}]);
    let prometheus =
        Prometheus::start(&json!([{"job_name": "own", "scrape_interval": "1s", "static_configs": targets}]));
    let labels = "labels?match%5B%5D=up";
    eventually(|| prometheus.data(labels), |data| data.as_array().is_some_and(|all| !all.is_empty())).await;
    let queries = [
        r#"up{job=~"$job"}"#,
        r#"sum by (job) (up{namespace="a"})"#,
        "rate(queue_length_total[$__rate_interval])",
        "sum by (pod) (up)",
    ];
    let up = Metric::gauge("up", Unit::Boolean, "").from(Origin::Scrape);
    let queue = Metric::counter("queue_length_total", "messages", "").from(Origin::Service);
    let catalog = Catalog::default().with([up, queue]);
    scene.save("bundle.tar.gz", &bundle("1.0.0", &catalog, &queries));
    let url = format!("http://{}", prometheus.address);
    let found = scene.run(&["verify", "bundle.tar.gz", "--prometheus", &url]);
    let place = r#"dashboards/one.json: panel "Panel", query A"#;
    let expected = format!(
        "{place}: series up have no label namespace; they have instance, job\n{place}: there is no series queue_length_total\n\
         {place}: series up have no label pod; they have instance, job\n"
    );
    assert_eq!((found.code, found.stdout.as_str()), (Some(1), expected.as_str()), "{found:?}");
    scene.save("bundle.tar.gz", &bundle("1.0.0", &catalog, &queries[..1]));
    assert_eq!(scene.run(&["verify", "bundle.tar.gz", "--prometheus", &url]).code, Some(0));
    let nobody = scene.run(&["verify", "bundle.tar.gz", "--prometheus=http://127.0.0.1:1"]);
    assert!(nobody.code == Some(2) && nobody.stderr.contains("no connection"), "{nobody:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_plimsoll_says_which_metric_is_missing() {
    let scene = Scene::new();
    let server = Plimsoll::start(
        "scrape_configs: [{job_name: job, targets: [{url: 'http://127.0.0.1:1/', namespace: ns, pod: pod}]}]\n\
         metrics: [{name: load, gauge: {series: load, combine: sum}}]\n",
    )
    .await;
    std::fs::write(scene.path("ca.pem"), &server.certificate_pem).expect("written");
    let gone = Metric::gauge("plimsoll_gone", Unit::Boolean, "It is no more");
    let info =
        Metric::gauge("plimsoll_build_info", Unit::Boolean, "With what it had").label("version").label("edition");
    let catalog = Catalog::plimsoll().with([gone, info]);
    let verify = |queries: &[&str]| {
        scene.save("bundle.tar.gz", &bundle("1.0.0", &catalog, queries));
        scene.run(&["verify", "bundle.tar.gz", "--plimsoll", &server.base, "--ca-file=ca.pem"])
    };
    let good = tokio::task::block_in_place(|| verify(&[r#"plimsoll_build_info{version="1",job="plimsoll"}"#]));
    assert_eq!(good.code, Some(0), "{good:?}");
    let other = tokio::task::block_in_place(|| verify(&["sum by (edition, version, job) (plimsoll_build_info)"]));
    let what = "metric plimsoll_build_info has no label edition, which is read by dashboards/one.json\n";
    assert!(other.code == Some(1) && other.stdout.ends_with(what), "{other:?}");
    let bad = tokio::task::block_in_place(|| verify(&["plimsoll_gone", "plimsoll_build_info"]));
    let what = "/metrics: there is no metric plimsoll_gone, which is read by dashboards/one.json\n";
    assert!(bad.code == Some(1) && bad.stdout.ends_with(what), "{bad:?}");
}
