//! The demo: a simulated platform on loopback, scaled by the rules of the HorizontalPodAutoscaler with the numbers
//! that a real Plimsoll serves.
//!
//! A seeded [`plant`] of four services lives through a compressed [`day`]; [`platform`] puts its pods behind HTTP
//! pages and a discovery endpoint; Plimsoll scrapes them; [`controller`] asks Plimsoll over HTTPS as
//! kube-controller-manager does and scales the plant; [`table`] shows it. Nothing leaves loopback.
//!
//! **Time.** One second of the demo is a second on the wall at speed 1, and stands for 15 s of a cluster: scrape
//! interval and sync period of 15 s become 1 s, a window of 1 m becomes 4 s, and the clock of the controller runs 15
//! times faster, so that the HPA objects of the demo are ones for a real cluster. A day, compressed further, takes
//! 120 s. `speed` makes all of it faster alike.

pub mod board;
pub mod controller;
pub mod day;
pub mod inquiry;
pub mod plant;
pub mod platform;
pub mod pod;
pub mod random;
pub mod screen;
pub mod story;
pub mod table;
pub mod text;
pub mod workload;
