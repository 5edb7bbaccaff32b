//! Faults of the platform, injected one after the other, as notifications of a real Alertmanager.
