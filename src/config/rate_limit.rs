//! Tiers of clients: how many requests each may make.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use super::file;

/// Which client has which tier, and what that allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    pub tiers: Tiers,
    pub default: Tier,
    /// ServiceAccounts too, by the name of their user.
    pub users: BTreeMap<String, Tier>,
    pub groups: BTreeMap<String, Tier>,
}

/// How often a client may ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tier {
    #[default]
    Default,
    Low,
    High,
    Critical,
    Unlimited,
}

/// Requests in 60 s by tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiers([NonZeroU32; Tier::ALL.len()]);

// === impl RateLimits ===

impl RateLimits {
    /// The tier of a user: its own, else the best of its groups, else the default.
    pub fn tier(&self, user: &str, groups: &[String]) -> Tier {
        let of_groups = || {
            let tiers = groups.iter().filter_map(|group| self.groups.get(group).copied());
            tiers.max_by_key(|tier| self.tiers.of(*tier))
        };
        self.users.get(user).copied().or_else(of_groups).unwrap_or(self.default)
    }
}

impl From<file::RateLimits> for RateLimits {
    fn from(file: file::RateLimits) -> Self {
        let file::RateLimits { tiers, default, users, service_accounts, groups } = file;
        let account = |(name, tier): (String, file::Tier)| {
            (format!("system:serviceaccount:{}", name.replacen('/', ":", 1)), tier.into())
        };
        let named = |(name, tier): (String, file::Tier)| (name, tier.into());
        Self {
            tiers: tiers.into(),
            default: default.map_or(Tier::Default, Tier::from),
            users: users.into_iter().map(named).chain(service_accounts.into_iter().map(account)).collect(),
            groups: groups.into_iter().map(named).collect(),
        }
    }
}

// === impl Tier ===

impl Tier {
    /// In the order of their declaration, which is that of [`Tiers`].
    pub const ALL: [Self; 5] = [Self::Default, Self::Low, Self::High, Self::Critical, Self::Unlimited];

    /// As the configuration file and the metrics have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Low => "low",
            Self::High => "high",
            Self::Critical => "critical",
            Self::Unlimited => "unlimited",
        }
    }
}

impl From<file::Tier> for Tier {
    fn from(file: file::Tier) -> Self {
        match file {
            file::Tier::Default => Self::Default,
            file::Tier::Low => Self::Low,
            file::Tier::High => Self::High,
            file::Tier::Critical => Self::Critical,
            file::Tier::Unlimited => Self::Unlimited,
        }
    }
}

// === impl Tiers ===

impl Tiers {
    pub fn of(&self, tier: Tier) -> NonZeroU32 {
        self.0[tier as usize]
    }
}

impl Default for Tiers {
    fn default() -> Self {
        Self([100, 50, 200, 500, 100_000].map(|count| NonZeroU32::new(count).expect("not zero")))
    }
}

impl From<file::Tiers> for Tiers {
    fn from(file: file::Tiers) -> Self {
        let file::Tiers { default, low, high, critical, unlimited } = file;
        Self([default, low, high, critical, unlimited])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_counts_before_its_groups_and_the_best_group_before_the_default() {
        let of = |pairs: &[(&str, Tier)]| pairs.iter().map(|(name, tier)| ((*name).to_owned(), *tier)).collect();
        let limits = RateLimits {
            default: Tier::Low,
            users: of(&[("alice", Tier::Default)]),
            groups: of(&[("staff", Tier::High), ("dev", Tier::Critical)]),
            ..RateLimits::default()
        };
        let check = |user: &str, groups: &[&str], want: Tier| {
            let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
            assert_eq!(limits.tier(user, &groups), want, "{user} {groups:?}");
        };
        check("alice", &["dev"], Tier::Default);
        check("bob", &["staff", "dev", "other"], Tier::Critical);
        check("bob", &["staff"], Tier::High);
        check("bob", &["other"], Tier::Low);
    }

    #[test]
    fn tiers_allow_what_they_are_said_to() {
        let allowed = Tier::ALL.map(|tier| (tier.name(), Tiers::default().of(tier).get()));
        let said = [("default", 100), ("low", 50), ("high", 200), ("critical", 500), ("unlimited", 100_000)];
        assert_eq!(allowed, said);
    }
}
