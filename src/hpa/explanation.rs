//! A decision in sentences, for logs and for people: one line for the outcome, one per step.

use std::fmt;

use crate::hpa::behavior::{Direction, Normalisation, PolicyLimit, RateLimit};
use crate::hpa::proposal::{PodCounts, Proposal, Rule};
use crate::hpa::{Decision, MetricDecision, PolicyAmount, Reason, SelectPolicy, Verdict};

/// Milli-units as a decimal number.
struct Milli(i64);

// === impl Decision ===

/// The outcome, then one indented line per metric and per step of the normalisation.
impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.current, self.replicas);
        match &self.verdict {
            Verdict::Disabled => write!(f, "stays at 0: scaling is disabled, the HPA did not scale to zero itself")?,
            Verdict::AboveMax => write!(f, "{from} -> {to} replicas: more than maxReplicas")?,
            Verdict::BelowMin => write!(f, "{from} -> {to} replicas: fewer than minReplicas")?,
            Verdict::Held => write!(f, "held at {from}: {}", self.error.as_deref().unwrap_or("no valid metric"))?,
            Verdict::Computed { metric, proposed } => {
                let name = self.metrics.get(*metric).map_or("", |metric| &metric.name);
                let change = if from == to { format!("stays at {from}") } else { format!("{from} -> {to} replicas") };
                write!(f, "{change}: {name} proposes {proposed}")?;
            }
        }
        for metric in &self.metrics {
            write!(f, "\n  {metric}")?;
        }
        self.normalisation.as_ref().map_or(Ok(()), |normalisation| write!(f, "\n  {normalisation}"))
    }
}

// === impl MetricDecision ===

impl fmt::Display for MetricDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Ok(proposal) => write!(f, "{}: {proposal}", self.name),
            Err(failure) => write!(f, "{}: invalid, {failure}", self.name),
        }
    }
}

// === impl Proposal ===

/// `usage 11.841 / target 10 = 1.184; 1.184 x 3 ready pods -> 4`.
impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.utilization {
            Some(percent) => write!(f, "usage {percent} % / target {} %", self.target)?,
            None => write!(f, "usage {} / target {}", Milli(self.usage), Milli(self.target))?,
        }
        write!(f, " = {:.3}", self.ratio)?;
        if let Some(pods) = self.pods {
            write!(f, " ({pods})")?;
        }
        if let Some(adjusted) = self.adjusted_ratio {
            write!(f, ", {adjusted:.3} with missing and unready pods filled in")?;
        }
        write!(f, "; {} -> {}", Reasoning(self), self.replicas)?;
        if self.is_overflow() { f.write_str(" (does not fit 32 bits)") } else { Ok(()) }
    }
}

/// The rule of a proposal with its numbers.
struct Reasoning<'a>(&'a Proposal);

impl fmt::Display for Reasoning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let adjusted = self.0.adjusted_ratio.unwrap_or(self.0.ratio);
        match self.0.rule {
            Rule::WithinTolerance => f.write_str("within tolerance"),
            Rule::AdjustedWithinTolerance => f.write_str("within tolerance once filled in"),
            Rule::AdjustedChangesDirection => f.write_str("filled in, it would change direction"),
            Rule::AdjustedAgainstDirection => f.write_str("filled in, the count would move against the ratio"),
            Rule::ReadyPods(pods) => write!(f, "{:.3} x {pods} ready pods", self.0.ratio),
            Rule::Adjusted(values) => write!(f, "{adjusted:.3} x {values} values"),
            Rule::Total => f.write_str("total / target per replica"),
            Rule::FromZero => f.write_str("from zero, no tolerance"),
        }
    }
}

// === impl PodCounts ===

/// `3 ready, 1 missing`; what there is none of is left out.
impl fmt::Display for PodCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ready", self.ready)?;
        let others = [
            (self.unready, "unready"),
            (self.missing, "missing"),
            (self.ignored, "ignored"),
            (self.foreign, "under other names"),
        ];
        for (count, name) in others.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, ", {count} {name}")?;
        }
        Ok(())
    }
}

// === impl Normalisation ===

impl fmt::Display for Normalisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (proposed, stabilized) = (self.proposed, self.stabilized);
        if stabilized == proposed {
            write!(f, "stabilisation leaves {proposed}")?;
        } else {
            write!(f, "stabilisation makes {proposed} to {stabilized}: recent recommendations")?;
            match self.lowest {
                Some(lowest) => write!(f, " from {lowest} (up) to {} (down)", self.highest)?,
                None => write!(f, " up to {}", self.highest)?,
            }
        }
        if let Some(rate) = &self.rate {
            write!(f, "\n  {rate}")?;
        }
        if self.limit != Reason::DesiredWithinRange {
            write!(f, "\n  limited to {} ({})", self.replicas, self.limit)?;
        }
        Ok(())
    }
}

// === impl RateLimit ===

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound = match self.direction {
            Direction::Up => "at most",
            Direction::Down => "at least",
        };
        write!(f, "allowed now: {bound} {}", self.replicas)?;
        match (self.select, self.policies.is_empty()) {
            (SelectPolicy::Disabled, _) => return f.write_str(" (this direction is disabled)"),
            (_, true) => return f.write_str(" (twice the replicas, or 4)"),
            (select, false) => write!(f, " ({select:?} of")?,
        }
        for (index, policy) in self.policies.iter().enumerate() {
            write!(f, "{} {policy}", if index == 0 { "" } else { "," })?;
        }
        f.write_str(")")
    }
}

// === impl PolicyLimit ===

impl fmt::Display for PolicyLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.policy.amount {
            PolicyAmount::Pods(pods) => write!(f, "{pods} pods")?,
            PolicyAmount::Percent(percent) => write!(f, "{percent} %")?,
        }
        let seconds = self.policy.period.as_secs();
        write!(f, " per {seconds} s from {}: {}", self.period_start, self.replicas)
    }
}

// === impl Milli ===

impl fmt::Display for Milli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0.unsigned_abs() / 1000, self.0.unsigned_abs() % 1000);
        let sign = if self.0 < 0 { "-" } else { "" };
        let text = format!("{sign}{whole}.{part:03}");
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}
