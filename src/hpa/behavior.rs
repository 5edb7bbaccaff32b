//! From the proposal of the metrics to the replicas to write: stabilisation, policies, minimum and maximum.
//!
//! Times of recommendations and scale events decide here; both are kept per HPA in [`History`]. Replica counts
//! wrap like Go's `int32`, which only absurd policies can bring about.

use std::time::Duration;

use crate::hpa::proposal::to_i32;
use crate::hpa::{Behavior, Flags, Policy, PolicyAmount, Reason, ScalingRules, SelectPolicy, Spec};
use crate::model::Timestamp;

/// Without `behavior`, replicas may double in one reconcile …
const SCALE_UP_LIMIT_FACTOR: f64 = 2.0;
/// … or reach this number, whichever is more (`scaleUpLimitMinimum` in `horizontal.go`).
const SCALE_UP_LIMIT_MINIMUM: f64 = 4.0;

/// What became of the proposal of the metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalisation {
    /// The proposal of the metrics, not below 0; remembered as a recommendation.
    pub proposed: i32,
    /// Lowest recommendation of the scale-up window, this one included. `None` without `behavior`, which
    /// stabilises only downwards.
    pub lowest: Option<i32>,
    /// Highest recommendation of the scale-down window, this one included.
    pub highest: i32,
    /// The proposal after stabilisation.
    pub stabilized: i32,
    /// What may be reached in this reconcile, `None` when stabilisation left nothing to do.
    pub rate: Option<RateLimit>,
    /// The result within rate, minimum and maximum.
    pub replicas: i32,
    /// What bounded the result, `DesiredWithinRange` when nothing did.
    pub limit: Reason,
    current: i32,
}

/// The bound that the policies of one direction set.
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimit {
    pub direction: Direction,
    /// The furthest count allowed now.
    pub replicas: i32,
    pub select: SelectPolicy,
    /// What each policy allows; empty without `behavior` and for `Disabled`.
    pub policies: Vec<PolicyLimit>,
}

/// What one policy allows.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyLimit {
    pub policy: Policy,
    /// Replicas at the start of the period, reckoned from the scale events since.
    pub period_start: i32,
    pub replicas: i32,
}

/// A direction of scaling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Up,
    Down,
}

/// Recommendations and scale events of one HPA; lost when the controller restarts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct History {
    recommendations: Vec<Recommendation>,
    scale_ups: Vec<ScaleEvent>,
    scale_downs: Vec<ScaleEvent>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Recommendation {
    replicas: i32,
    at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct ScaleEvent {
    /// Replicas added or removed; never negative.
    change: i32,
    at: Timestamp,
}

/// A recommendation after stabilisation, with the range that held it.
struct Stabilized {
    lowest: Option<i32>,
    highest: i32,
    replicas: i32,
}

/// The count, why it is bounded, and the rate that was looked at.
struct Limited {
    replicas: i32,
    limit: Reason,
    rate: Option<RateLimit>,
}

// === impl Normalisation ===

impl Normalisation {
    /// Whether minimum, maximum or rate changed the stabilised proposal.
    pub fn is_limited(&self) -> bool {
        self.replicas != self.stabilized
    }

    /// Reason and message of the condition `AbleToScale`.
    pub(super) fn stabilization(&self) -> (Reason, &'static str) {
        if self.stabilized == self.proposed {
            return (Reason::ReadyForNewScale, "recommended size matches current size");
        }
        if self.lowest.is_some() && self.proposed >= self.current {
            let message =
                "recent recommendations were lower than current one, applying the lowest recent recommendation";
            return (Reason::ScaleUpStabilized, message);
        }
        let message = "recent recommendations were higher than current one, applying the highest recent recommendation";
        (Reason::ScaleDownStabilized, message)
    }
}

// === impl History ===

impl History {
    /// A controller that sees an HPA for the first time takes the current replicas as a recommendation, so that
    /// a restart does not scale down before one window has passed.
    pub(super) fn begin(&mut self, current: i32, now: Timestamp) {
        if self.recommendations.is_empty() {
            self.recommendations.push(Recommendation { replicas: current, at: now });
        }
    }

    /// Brings `proposed` within windows, policies and bounds, and remembers it unstabilised.
    pub(super) fn normalise(
        &mut self,
        flags: &Flags,
        spec: &Spec,
        now: Timestamp,
        current: i32,
        proposed: i32,
    ) -> Normalisation {
        let stabilized = match &spec.behavior {
            Some(behavior) => self.stabilize(behavior, flags, now, current, proposed),
            None => self.stabilize_down(flags, now, proposed),
        };
        let limited = match &spec.behavior {
            Some(behavior) => self.limit(behavior, spec, now, current, stabilized.replicas),
            None => limit_without_behavior(spec, current, stabilized.replicas),
        };
        Normalisation {
            proposed,
            lowest: stabilized.lowest,
            highest: stabilized.highest,
            stabilized: stabilized.replicas,
            rate: limited.rate,
            replicas: limited.replicas,
            limit: limited.limit,
            current,
        }
    }

    /// Remembers a written scale, over the last event that no policy of its direction looks at any more.
    pub(super) fn record_scale(&mut self, behavior: &Behavior, now: Timestamp, current: i32, replicas: i32) {
        let (events, rules) = if replicas > current {
            (&mut self.scale_ups, &behavior.scale_up)
        } else {
            (&mut self.scale_downs, &behavior.scale_down)
        };
        let longest = rules.policies.iter().map(|policy| policy.period).max().unwrap_or(Duration::ZERO);
        let expired = events.iter().rposition(|event| event.at < now.minus(longest));
        let change = replicas.wrapping_sub(current).wrapping_abs();
        store(events, expired, ScaleEvent { change, at: now });
    }

    /// Without `behavior`: the highest recommendation of the window, whose edge still counts.
    fn stabilize_down(&mut self, flags: &Flags, now: Timestamp, proposed: i32) -> Stabilized {
        let cutoff = now.minus(flags.downscale_stabilization);
        let recent = self.recommendations.iter().filter(|r| r.at >= cutoff);
        let highest = recent.map(|r| r.replicas).fold(proposed, i32::max);
        self.remember(cutoff, now, proposed);
        Stabilized { lowest: None, highest, replicas: highest }
    }

    /// With `behavior`: as near to `current` as the recommendations of both windows allow. The edge of a window
    /// does not count.
    fn stabilize(
        &mut self,
        behavior: &Behavior,
        flags: &Flags,
        now: Timestamp,
        current: i32,
        proposed: i32,
    ) -> Stabilized {
        let up = now.minus(behavior.scale_up.stabilization_window.unwrap_or(Duration::ZERO));
        let down = now.minus(behavior.scale_down.stabilization_window.unwrap_or(flags.downscale_stabilization));
        let since = |cutoff| self.recommendations.iter().filter(move |r| r.at > cutoff).map(|r| r.replicas);
        let lowest = since(up).fold(proposed, i32::min);
        let highest = since(down).fold(proposed, i32::max);
        self.remember(up.min(down), now, proposed);
        // `lowest <= proposed <= highest`, so the order of the two does not matter.
        Stabilized { lowest: Some(lowest), highest, replicas: current.max(lowest).min(highest) }
    }

    /// Stores a recommendation over the last one older than `cutoff`.
    fn remember(&mut self, cutoff: Timestamp, now: Timestamp, replicas: i32) {
        let expired = self.recommendations.iter().rposition(|r| r.at < cutoff);
        store(&mut self.recommendations, expired, Recommendation { replicas, at: now });
    }

    fn limit(&self, behavior: &Behavior, spec: &Spec, now: Timestamp, current: i32, stabilized: i32) -> Limited {
        if stabilized == current {
            return Limited { replicas: stabilized, limit: Reason::DesiredWithinRange, rate: None };
        }
        let up = stabilized > current;
        let (direction, rules) =
            if up { (Direction::Up, &behavior.scale_up) } else { (Direction::Down, &behavior.scale_down) };
        let rate = self.rate(direction, rules, now, current);
        let (bound, reason) = if up {
            upper_bound(spec.max_replicas, rate.replicas)
        } else if spec.min_replicas < rate.replicas {
            (rate.replicas, Reason::ScaleDownLimit)
        } else {
            (spec.min_replicas, Reason::TooFewReplicas)
        };
        let beyond = if up { stabilized > bound } else { stabilized < bound };
        let (replicas, limit) = if beyond { (bound, reason) } else { (stabilized, Reason::DesiredWithinRange) };
        Limited { replicas, limit, rate: Some(rate) }
    }

    /// What the policies of a direction allow. A limit never forces a move against its direction.
    fn rate(&self, direction: Direction, rules: &ScalingRules, now: Timestamp, current: i32) -> RateLimit {
        let select = rules.select;
        if select == SelectPolicy::Disabled {
            return RateLimit { direction, replicas: current, select, policies: Vec::new() };
        }
        let policies: Vec<PolicyLimit> =
            rules.policies.iter().map(|policy| self.policy_limit(direction, *policy, now, current)).collect();
        let limits = policies.iter().map(|policy| policy.replicas);
        // Max and Min speak of the size of the change: downwards the biggest change is the lowest count.
        let highest = (select == SelectPolicy::Max) == (direction == Direction::Up);
        let chosen = if highest { limits.max() } else { limits.min() }.unwrap_or(current);
        let replicas = match direction {
            Direction::Up => chosen.max(current),
            Direction::Down => chosen.min(current),
        };
        RateLimit { direction, replicas, select, policies }
    }

    fn policy_limit(&self, direction: Direction, policy: Policy, now: Timestamp, current: i32) -> PolicyLimit {
        let cutoff = now.minus(policy.period);
        let added = changed_since(&self.scale_ups, cutoff);
        let removed = changed_since(&self.scale_downs, cutoff);
        let period_start = current.wrapping_sub(added).wrapping_add(removed);
        let start = f64::from(period_start);
        let replicas = match (direction, policy.amount) {
            (Direction::Up, PolicyAmount::Pods(pods)) => period_start.wrapping_add(pods),
            // Rounded up, else a small percentage of few replicas would never allow a step.
            (Direction::Up, PolicyAmount::Percent(percent)) => {
                to_i32((start * (1.0 + f64::from(percent) / 100.0)).ceil())
            }
            (Direction::Down, PolicyAmount::Pods(pods)) => period_start.wrapping_sub(pods),
            (Direction::Down, PolicyAmount::Percent(percent)) => to_i32(start * (1.0 - f64::from(percent) / 100.0)),
        };
        PolicyLimit { policy, period_start, replicas }
    }
}

fn limit_without_behavior(spec: &Spec, current: i32, stabilized: i32) -> Limited {
    let cap = to_i32((SCALE_UP_LIMIT_FACTOR * f64::from(current)).max(SCALE_UP_LIMIT_MINIMUM));
    let (bound, reason) = upper_bound(spec.max_replicas, cap);
    let (replicas, limit) = if stabilized < spec.min_replicas {
        (spec.min_replicas, Reason::TooFewReplicas)
    } else if stabilized > bound {
        (bound, reason)
    } else {
        (stabilized, Reason::DesiredWithinRange)
    };
    let rate = RateLimit { direction: Direction::Up, replicas: cap, select: SelectPolicy::Max, policies: Vec::new() };
    Limited { replicas, limit, rate: (stabilized > current).then_some(rate) }
}

fn upper_bound(max_replicas: i32, rate: i32) -> (i32, Reason) {
    if max_replicas > rate { (rate, Reason::ScaleUpLimit) } else { (max_replicas, Reason::TooManyReplicas) }
}

fn changed_since(events: &[ScaleEvent], cutoff: Timestamp) -> i32 {
    events.iter().filter(|event| event.at > cutoff).fold(0, |sum: i32, event| sum.wrapping_add(event.change))
}

fn store<T>(list: &mut Vec<T>, expired: Option<usize>, new: T) {
    match expired {
        Some(index) => list[index] = new,
        None => list.push(new),
    }
}
