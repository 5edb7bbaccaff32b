//! The port under attack. Each attack stands while an autoscaler goes on asking as the kube-apiserver does, over a
//! connection that lives and over new ones; all of its requests have to be answered. How fast is for `make bench`.

// Thousands of connections.
mod crowd;
// Frames of HTTP/2 that no client would send.
mod flood;
// Requests that are too large.
mod oversize;
// Requests beyond a tier.
mod rates;
// What all these tests share.
mod scene;
// Clients that take their time.
mod slow;
