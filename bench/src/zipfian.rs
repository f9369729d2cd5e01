//! Numbers of which few are drawn often: the rank k with a probability that falls as
//! 1 / k^θ.
//!
//! The inverse of the distribution function is approximated as in Gray et al.,
//! "Quickly generating billion-record synthetic databases" (1994), so that a draw
//! costs one power and no memory; the sum over all ranks is taken once.

use crate::random::Random;

/// As YCSB has it.
const THETA: f64 = 0.99;

pub struct Zipfian {
    ranks: f64,
    /// Σ 1 / k^θ.
    sum: f64,
    eta: f64,
}

impl Zipfian {
    /// Over `ranks` numbers from 0, of which there are at least two.
    pub fn new(ranks: usize) -> Self {
        let weight = |rank: usize| (rank as f64).powf(-THETA);
        let sum: f64 = (1..=ranks).map(weight).sum();
        let first_two = weight(1) + weight(2);
        let ranks = ranks as f64;
        let eta = (1.0 - (2.0 / ranks).powf(1.0 - THETA)) / (1.0 - first_two / sum);
        Self { ranks, sum, eta }
    }

    /// The most popular is 0.
    pub fn draw(&self, random: &mut Random) -> usize {
        let uniform = (random.next() >> 11) as f64 / (1_u64 << 53) as f64;
        let scaled = uniform * self.sum;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < 1.0 + 0.5_f64.powf(THETA) {
            return 1;
        }
        let rank = self.ranks * (self.eta * uniform - self.eta + 1.0).powf(1.0 / (1.0 - THETA));
        (rank as usize).min(self.ranks as usize - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_drawn_as_often_as_the_law_says() {
        let (zipfian, mut random) = (Zipfian::new(1_000), Random::new(1));
        let mut drawn = vec![0_u32; 1_000];
        const DRAWS: u32 = 200_000;
        for _ in 0..DRAWS {
            drawn[zipfian.draw(&mut random)] += 1;
        }
        let sum: f64 = (1..=1_000).map(|rank| f64::from(rank).powf(-THETA)).sum();
        let share = |ranks: &[u32]| f64::from(ranks.iter().sum::<u32>()) / f64::from(DRAWS);
        assert!((share(&drawn[..1]) - 1.0 / sum).abs() < 0.01);
        let expected: f64 = (1..=100).map(|rank| f64::from(rank).powf(-THETA)).sum::<f64>() / sum;
        assert!((share(&drawn[..100]) - expected).abs() < 0.02, "{}", share(&drawn[..100]));
        assert!(drawn[999] < drawn[0] / 50);
    }
}
