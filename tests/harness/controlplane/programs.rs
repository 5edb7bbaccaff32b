//! The processes of the control plane: etcd, kube-apiserver, kube-controller-manager, as `make setup` provides them.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use super::authority::{self, Authority, Pair};
use super::direct::HOST;
use super::egress::Egress;
use super::folder::Folder;
use super::kubelet::containers::Containers;
use super::network::Network;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use crate::harness::program::{PLIMSOLL, Program, installed};

/// What the programs share: where they listen, whom they trust, who they are.
pub struct Premises {
    pub folder: Folder,
    pub network: Network,
    /// Signs the certificates of users and of the API server.
    pub authority: Authority,
    /// Signs the certificate with which the API server forwards requests; another one, or else a user could too.
    pub front_proxy: Authority,
    /// What verifies the tokens of service accounts, and what signs them.
    pub token_keys: [PathBuf; 2],
    etcd: u16,
    /// Where the API server answers.
    pub server: String,
    /// The kubeconfig of the administrator.
    pub admin: PathBuf,
    /// Where the API server finds what is behind a Service.
    pub egress: Arc<Egress>,
    /// The processes of pods.
    pub containers: Containers,
}

/// Downscales are quick, so that tests are; everything else is as in a cluster.
const CONTROLLERS: [&str; 8] = [
    "--controllers=horizontal-pod-autoscaler-controller,deployment-controller,replicaset-controller,\
     statefulset-controller,job-controller,cronjob-controller,namespace-controller,garbage-collector-controller,\
     serviceaccount-controller,root-ca-certificate-publisher-controller,resourcequota-controller,disruption-controller",
    "--leader-elect=false",
    "--use-service-account-credentials=true",
    "--horizontal-pod-autoscaler-sync-period=1s",
    "--horizontal-pod-autoscaler-downscale-stabilization=5s",
    "--concurrent-horizontal-pod-autoscaler-syncs=5",
    // Tests run side by side: 20 requests a second would make them wait for each other.
    "--kube-api-qps=200",
    "--kube-api-burst=400",
];

/// What the API server does with users, service accounts and requests that it forwards.
const APISERVER: [&str; 7] = [
    "--authorization-mode=RBAC",
    "--allow-privileged=true",
    "--service-account-issuer=https://kubernetes.default.svc",
    "--requestheader-allowed-names=front-proxy-client",
    "--requestheader-username-headers=X-Remote-User",
    "--requestheader-group-headers=X-Remote-Group",
    "--requestheader-extra-headers-prefix=X-Remote-Extra-",
];

/// The name in the certificate with which the API server forwards requests; [`APISERVER`] allows no other.
const FRONT_PROXY: &str = "front-proxy-client";

/// The user who may do everything.
const ADMIN: &str = "admin";

/// Every request has a line.
const PLIMSOLL_LOG_LEVEL: &str = "info,plimsoll::telemetry=debug";

/// It may not be on loopback and nobody asks there: an address for documentation (RFC 5737).
const ADVERTISED: &str = "203.0.113.1";

// === impl Premises ===

impl Premises {
    pub fn new() -> Self {
        let (folder, network) = (Folder::new(), Network::claim());
        let authority = Authority::new(&folder, "kubernetes-ca");
        let front_proxy = Authority::new(&folder, "front-proxy-ca");
        let server = format!("https://{}:{}", network.node(), network.free_port());
        let user = authority.client(&folder, ADMIN, Some("system:masters"));
        let admin = user.kubeconfig(&folder, ADMIN, &server, &authority.file);
        let (token_keys, etcd, egress) =
            (authority::token_keys(&folder), network.free_port(), Arc::new(Egress::new(&folder)));
        let containers = Containers::default();
        Self { folder, network, authority, front_proxy, token_keys, etcd, server, admin, egress, containers }
    }

    /// The kubeconfig of a user without groups.
    pub fn user(&self, name: &str) -> PathBuf {
        let user = self.authority.client(&self.folder, name, None);
        user.kubeconfig(&self.folder, &name.replace(':', "-"), &self.server, &self.authority.file)
    }

    /// Host and port of the API server.
    pub fn server_address(&self) -> (String, String) {
        let address = self.server.trim_start_matches("https://").rsplit_once(':');
        address.map(|(host, port)| (host.to_owned(), port.to_owned())).expect("a host and a port")
    }

    /// What a pod has of this machine's file system.
    pub fn pod_folder(&self, pod: &Pod) -> PathBuf {
        self.pods().join(pod.uid().unwrap_or_default())
    }

    /// Removes it, where there is one.
    pub fn remove_pod_folder(&self, uid: &str) {
        if !uid.is_empty() {
            drop(std::fs::remove_dir_all(self.pods().join(uid)));
        }
    }

    fn pods(&self) -> PathBuf {
        self.folder.path().join("pods")
    }

    /// The folder with a file for each Service, by namespace.
    pub fn services(&self) -> PathBuf {
        self.folder.path().join("services")
    }

    /// Writes the endpoints of a Service; whoever reads meanwhile gets the old or the new ones.
    pub fn write_service(&self, namespace: &str, name: &str, endpoints: &str) {
        let folder = self.services().join(namespace);
        std::fs::create_dir_all(&folder).expect("a folder");
        let whole = self.folder.write("service.part", endpoints);
        std::fs::rename(whole, folder.join(name)).expect("in the same file system");
    }

    /// Where etcd's own protocol is spoken; with one member nobody does.
    pub fn start_etcd(&self) -> Program {
        let (clients, peers) = (self.url(self.etcd), self.url(self.network.free_port()));
        let mut command =
            guarded(&asset("etcd").unwrap_or_else(|| installed("etcd", "etcd-server").get_program().into()));
        command.arg("--data-dir").arg(self.folder.path().join("etcd"));
        command.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
        command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        // What it holds need not survive the machine.
        command.args(["--initial-cluster", &format!("default={peers}"), "--unsafe-no-fsync", "--log-level", "warn"]);
        Program::start(command)
    }

    /// Starts the API server. Without controllers nothing makes the accounts that pods would have.
    pub fn start_apiserver(&self, with_accounts: bool) -> Program {
        let (folder, address) = (&self.folder, self.network.node());
        let serving = self.authority.server(folder, "kube-apiserver", authority::apiserver_hosts(address.into()));
        let proxy = self.front_proxy.client(folder, FRONT_PROXY, None);
        let mut command = guarded(&kubernetes("kube-apiserver"));
        command.args(APISERVER);
        command.arg(format!("--etcd-servers={}", self.url(self.etcd)));
        command.arg(format!("--bind-address={address}"));
        command.arg(format!("--secure-port={}", self.server.rsplit(':').next().expect("a port")));
        command.arg(format!("--advertise-address={ADVERTISED}"));
        command.arg(format!("--service-cluster-ip-range={}", self.network.services()));
        argument(&mut command, "--egress-selector-config-file", &self.egress.configuration);
        if !with_accounts {
            command.arg("--disable-admission-plugins=ServiceAccount");
        }
        argument(&mut command, "--cert-dir", folder.path());
        pair(&mut command, ["--tls-cert-file", "--tls-private-key-file"], &serving);
        argument(&mut command, "--client-ca-file", &self.authority.file);
        argument(&mut command, "--service-account-key-file", &self.token_keys[0]);
        argument(&mut command, "--service-account-signing-key-file", &self.token_keys[1]);
        argument(&mut command, "--requestheader-client-ca-file", &self.front_proxy.file);
        pair(&mut command, ["--proxy-client-cert-file", "--proxy-client-key-file"], &proxy);
        Program::start(command)
    }

    /// Starts the controllers; the API server must be ready, or they give up.
    pub fn start_controllers(&self) -> Program {
        let kubeconfig = self.user("system:kube-controller-manager");
        let mut command = guarded(&kubernetes("kube-controller-manager"));
        command.args(CONTROLLERS);
        for flag in ["--kubeconfig", "--authentication-kubeconfig", "--authorization-kubeconfig"] {
            argument(&mut command, flag, &kubeconfig);
        }
        argument(&mut command, "--service-account-private-key-file", &self.token_keys[1]);
        argument(&mut command, "--root-ca-file", &self.authority.file);
        argument(&mut command, "--cert-dir", self.folder.path());
        command.arg(format!("--bind-address={}", self.network.node()));
        command.arg(format!("--secure-port={}", self.network.free_port()));
        Program::start(command)
    }

    /// The command for a Plimsoll at this address, as whoever the kubeconfig is. It logs every request.
    pub fn plimsoll(&self, address: SocketAddr, config: &Path, kubeconfig: &Path) -> Command {
        let name = format!("plimsoll-{}", address.port());
        let serving = self.authority.server(&self.folder, &name, vec![HOST.to_owned()]);
        let mut command = guarded(&plimsoll());
        command.args(["serve", "--listen", &address.to_string(), "--log-level", PLIMSOLL_LOG_LEVEL]);
        command.env("KUBECONFIG", kubeconfig);
        argument(&mut command, "--config", config);
        pair(&mut command, ["--tls-cert-file", "--tls-private-key-file"], &serving);
        command
    }

    /// The certificate and key with which the API server forwards requests, as PEM.
    pub fn front_proxy_identity(&self) -> String {
        self.identity(FRONT_PROXY)
    }

    /// The certificate and key of the administrator, as PEM.
    pub fn admin_identity(&self) -> String {
        self.identity(ADMIN)
    }

    fn identity(&self, name: &str) -> String {
        let read = |file: String| std::fs::read_to_string(self.folder.path().join(file)).expect("it was made");
        read(format!("{name}.crt")) + &read(format!("{name}.key"))
    }

    fn url(&self, port: u16) -> String {
        format!("http://{}:{port}", self.network.node())
    }
}

/// A command for a program that ends when the thread that starts it does, in whatever way.
pub fn guarded(program: &Path) -> Command {
    let mut command = installed("setpriv", "util-linux");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    // A Ctrl-C is for who started them.
    command.process_group(0);
    command
}

/// A program of Kubernetes.
pub fn kubernetes(name: &str) -> PathBuf {
    asset(name).unwrap_or_else(|| built(&format!("control-plane/{name}")))
}

/// Plimsoll: as Cargo built it for the tests, or what it built beside an example.
pub fn plimsoll() -> PathBuf {
    if PLIMSOLL.is_empty() { target().join("debug/plimsoll") } else { PLIMSOLL.into() }
}

/// What `make setup` built; a missing one fails the test.
pub fn built(name: &str) -> PathBuf {
    let program = workshop().join(name);
    assert!(program.is_file(), "{} is not there; run `make setup`", program.display());
    program
}

/// The folder of what `make setup` and tests build.
pub fn workshop() -> PathBuf {
    option_env!("CARGO_TARGET_TMPDIR").map_or_else(|| target().join("tmp"), PathBuf::from)
}

/// The folder of builds, for programs that Cargo does not tell: `debug/examples/NAME` is inside of it.
fn target() -> PathBuf {
    let program = std::env::current_exe().expect("a program");
    program.ancestors().nth(3).expect("inside of the folder of builds").to_owned()
}

/// What the folder that KUBEBUILDER_ASSETS names has of it.
fn asset(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("KUBEBUILDER_ASSETS")?;
    Some(Path::new(&folder).join(name)).filter(|program| program.is_file())
}

fn argument(command: &mut Command, flag: &str, value: &Path) {
    command.arg(flag).arg(value);
}

fn pair(command: &mut Command, [certificate, key]: [&str; 2], pair: &Pair) {
    argument(command, certificate, &pair.certificate);
    argument(command, key, &pair.key);
}
