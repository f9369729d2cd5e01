use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts things that are open, up to a bound.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauge(Arc<AtomicUsize>);

/// One counted thing; dropping it counts down.
#[derive(Debug)]
pub(crate) struct Held(Arc<AtomicUsize>);

impl Gauge {
    /// How many are held.
    pub(crate) fn value(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    /// Counts one more.
    pub(crate) fn hold(&self) -> Held {
        self.0.fetch_add(1, Ordering::AcqRel);
        Held(self.0.clone())
    }

    /// Counts one more unless `max` are held.
    pub(crate) fn try_hold(&self, max: usize) -> Option<Held> {
        let below = |held: usize| (held < max).then_some(held + 1);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, below).ok()?;
        Some(Held(self.0.clone()))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A gauge for each name that something is held of.
#[derive(Clone, Debug, Default)]
pub(crate) struct NamedGauge(Arc<Mutex<HashMap<String, usize>>>);

/// One thing counted under a name; dropping it counts down.
#[derive(Debug)]
pub(crate) struct HeldName {
    counts: NamedGauge,
    name: String,
}

impl NamedGauge {
    /// How many are held under `name`.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.lock().get(name).copied().unwrap_or(0)
    }

    /// Counts one more.
    pub(crate) fn hold(&self, name: &str) -> HeldName {
        *self.lock().entry(name.to_owned()).or_default() += 1;
        HeldName { counts: self.clone(), name: name.to_owned() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for HeldName {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        if let Some(count) = counts.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_free_again_when_its_holder_is_dropped() {
        let gauge = Gauge::default();
        let held = gauge.try_hold(1).expect("the first fits");
        assert!(gauge.try_hold(1).is_none());
        drop(held);
        assert!(gauge.try_hold(1).is_some());
        assert_eq!(gauge.value(), 0);
    }
}
