//! Plimsoll is the load line for Kubernetes workloads: it turns what services already expose (queue
//! length, latency, decision rate, requests) into numbers the HorizontalPodAutoscaler can trust, and
//! serves them as `custom.metrics.k8s.io` and `external.metrics.k8s.io`.
//!
//! # The pipeline is the folder list
//!
//! ```text
//! discovery ──Inventory──▶ scrape ──Page──▶ exposition ──Points──▶ storage
//!     │                                                              │
//!     └────────Inventory──────────▶ provider ◀──Partial── aggregate ─┘
//!                                      │
//!                                 MetricValue ──▶ api ──▶ serving
//! ```
//!
//! [`discovery`] publishes the current set of targets and objects on a watch channel. [`scrape`] runs one
//! loop per target: it fetches a page ([`client`]) in the format it asked for first (protobuf, OpenMetrics, text), reads
//! it ([`exposition`]) and commits it ([`storage`]). A request is answered by [`api`]: it borrows what is there and asks [`provider`], which
//! evaluates windows ([`aggregate`]) and merges what the targets of an object contribute. [`serving`] is
//! the HTTPS listener with its certificate, its [`serving::authentication`] and [`serving::authorization`], [`admin`] the pages about Plimsoll itself, and [`server`]
//! wires all of it.
//! [`autoscaling`] follows the HorizontalPodAutoscalers, read-only, and shows in the own metrics what each asks for and what it gets.
//! Beside the pipeline stand [`hpa`], the autoscaler's algorithm as a pure function, [`doctor`], which examines an
//! installation from outside, and [`demo`].
//!
//! # Invariants
//!
//! - **A wrong number is worse than no number.** NaN, Inf, stale, duplicate, empty and partial data are an
//!   [`aggregate::Absence`] or a [`provider::Error`], never a zero. Every value carries the time of the
//!   oldest sample it rests on, its span, and how many series, samples and targets stand behind it.
//! - **A part is not the whole.** A target without data counts as missing ([`provider::Coverage`]) unless it
//!   has just joined a fleet that was known before, or its pages do not have the metric. Below the
//!   definition's `min_coverage` there is no value; above it a total is scaled up for what is missing.
//! - **Requests read memory.** [`api`] waits for no target and no source of targets; long answers wait for each other. Whose
//!   a token is and what a user may, the kube-apiserver is asked ([`serving::review`]) every ten seconds at most.
//! - **Who may not is not answered.** Whom to believe was read from the cluster before; while nothing was, or nothing
//!   good, requests are refused. Identity headers count from the front proxy only, and credentials end at
//!   [`serving::authentication`]. An error is never a permission.
//! - **What clients take is bounded** ([`serving::Limits`]): sizes, times, connections, requests. The kube-apiserver gets in
//!   whatever strangers do.
//! - **A request costs what it matches**, not what is known: objects are found by namespace, name and label
//!   ([`model::Inventory`]). Answers that read many targets are made on threads of their own.
//! - **One lock per target**, held for the time of a commit or a read. Parsing happens outside of it. No
//!   target waits for another, but for a look at the names that all share.
//! - **A failed scrape is data.** It has a reason from a closed list ([`storage::FailureReason`]); the
//!   samples stay until they are no longer fresh.
//! - [`model`], [`exposition`], [`storage`], [`aggregate`], [`provider`] and [`hpa`] do no I/O, spawn
//!   nothing and read no clock: `now` is an argument. Wall time enters in [`clock`] alone.
//! - Tasks live in the `JoinSet`s of `server`, `scrape`, `discovery` and `serving`, whose owners await them.
//!   One that ends unexpectedly ends the process.
//! - Every collection has a bound from the configuration ([`config::Limits`]) or a constant with its reason.
//! - Who may import whom is a table in `tests/tidy.rs`, checked by a test.
//!
//! # One scrape
//!
//! A target's loop wakes at its place in the interval, which a hash of the target fixes. The page comes in
//! whole and within the limit, or the scrape has failed. `exposition::read` walks its lines; names that no
//! definition wants ([`storage::Wanted`]) are skipped without being decoded. `TargetStore::commit` checks
//! every new series against the bounds, and only then appends: a page counts whole or not at all. Series
//! that the page no longer has end; what is odd (duplicates, old or future timestamps, resets) is noted in
//! the target's state. What a series is called is kept once for all targets, since the pods of a workload expose the same.
//!
//! # Two ways to compute
//!
//! `exact` takes the change between real samples over their real span. `prometheus` takes PromQL's own arithmetic
//! ([`aggregate::prometheus`]) over the same windows, in which the samples of series that ended stay
//! ([`storage::Want::former_lives`]). Both pass the same guards: what is stale, refused or no number is no number in
//! either. Quantiles read native histograms where all targets of an object have them, else classic ones; mode
//! `prometheus` reads classic ones first, and computes native ones exactly.
//!
//! # One request of the HPA
//!
//! `GET …/namespaces/agents/pods/%2A/queue_length?labelSelector=app%3Dagents`: `api` splits the path, decodes
//! each segment, parses the selectors, and asks [`provider::View::custom`]. For each pod that the selector
//! matches, every target of the pod is evaluated at `now` to partials by split labels; they merge, and the
//! merged partial becomes a number. A pod without data is left out, since the HPA treats a missing pod
//! conservatively. No pod with data is 404 with the reason of the first few. The number is written as a
//! Quantity in milli precision, clamped to what the HPA can read.
//!
//! # What is known of a cluster
//!
//! Watches bring objects of the API, whole or as metadata; `discovery::kubernetes::index` keeps of each what matters, with
//! texts shared between pods, and forgets the rest. A list after a gap is applied as a difference. From the index come
//! the targets of each job (by annotations or monitors) and a [`model::Cluster`]: running pods that nothing scrapes,
//! labels of Services and Namespaces, plurals of kinds. Both make the next [`model::Inventory`], at a pace that leaves
//! nine tenths of a core to others. Pods that are pending, done or being deleted are none; of a chain of owners
//! ReplicaSets and Jobs are the middle. While the kube-apiserver is away nothing changes, and that is said.
//!
//! # Who may ask
//!
//! A connection is taken if its address has room (`serving::connections`). Its certificate is judged once in ten seconds by
//! the CAs that the cluster publishes: the front proxy's says who asks in headers, a user's says it itself; else a token says it,
//! else nobody does. Behind that stand the rates of users, and then the question whether they may: by memory of a
//! SubjectAccessReview. The certificate that is shown is one value that changes ([`serving::CurrentCertificate`]), whoever
//! makes it; what to do next with one of our own is decided by a pure function of the Secret, the APIServices and the time.
//!
//! # Dashboards and rules
//!
//! ```text
//! catalog (metrics) ──Expression──▶ dashboard, rule ──Files──▶ artifacts: folder, bundle, registry
//! ```
//!
//! A query is PromQL as text that [`catalog`] has parsed and looked up: no panel and no rule can ask for a series or a label that
//! nobody exposes. The files are a pure function of the catalogue; [`artifacts`] compares them with a folder, packs them and
//! says what a change means to whoever relies on a name. [`autoscaling`] watches what HPAs ask for, for the dashboard that
//! says why one scaled.
//!
//! # Seams for what comes
//!
//! Prometheus-compatible engines are one more writer of [`storage`]; a guard stands between [`provider`] and [`api`].

#![forbid(unsafe_code)]

// In reading order.
pub mod model;

pub mod clock;
pub mod config;
pub mod credential;

pub mod aggregate;
pub mod api;
pub mod autoscaling;
pub mod client;
pub mod discovery;
pub mod exposition;
pub mod provider;
pub mod scrape;
pub mod serving;
pub mod storage;

pub mod admin;
pub mod server;
pub mod telemetry;

pub mod artifacts;
pub mod catalog;
pub mod cli;
pub mod demo;
pub mod doctor;
pub mod hpa;
