use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes that kept results may take, all together.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    used: Arc<AtomicUsize>,
    max: usize,
}

/// A part of the budget, given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Budget,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new(max: usize) -> Self {
        Self { used: Arc::default(), max }
    }

    pub(crate) fn share(&self) -> Share {
        Share { budget: self.clone(), bytes: 0 }
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }
}

impl Share {
    /// Makes it so many bytes, if that fits. It always may become smaller.
    pub(crate) fn resize(&mut self, bytes: usize) -> bool {
        let (mine, max) = (self.bytes, self.budget.max);
        let resized = |used: usize| {
            let used = used - mine + bytes;
            (used <= max || bytes <= mine).then_some(used)
        };
        let fits = self.budget.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, resized);
        if fits.is_ok() {
            self.bytes = bytes;
        }
        fits.is_ok()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.resize(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g10_all_shares_together_stay_within_the_budget() {
        let budget = Budget::new(10);
        let (mut one, mut two) = (budget.share(), budget.share());
        assert!(one.resize(6) && !two.resize(5) && two.resize(4));
        assert!(!one.resize(7) && one.resize(5) && budget.used() == 9);
        drop(one);
        assert!(two.resize(10));
        drop(two);
        assert_eq!(budget.used(), 0);
    }
}
