//! Quantiles of the normal and of Student's t distribution: what a standard error is multiplied by.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// The 97.5 % quantile of the normal distribution: two-sided 95 %.
pub const NORMAL_975: f64 = 1.959_963_984_540_054;

/// Quantile `p` of the normal distribution, with 0 < `p` < 1.
#[must_use]
pub fn normal(p: f64) -> f64 {
    Normal::standard().inverse_cdf(p)
}

/// The share of the normal distribution up to `z`.
#[must_use]
pub fn normal_share(z: f64) -> f64 {
    Normal::standard().cdf(z)
}

/// Quantile `p` of Student's t distribution, with 0 < `p` < 1.
///
/// # Panics
/// `freedom` is not positive.
#[must_use]
pub fn student_t(p: f64, freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).expect("degrees of freedom are positive").inverse_cdf(p)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        // Abramowitz and Stegun, tables 26.5 and 26.10.
        for (p, freedom, expected) in
            [(0.975, 1.0, 12.706), (0.975, 19.0, 2.093), (0.95, 10.0, 1.812), (0.995, 30.0, 2.750)]
        {
            assert!((student_t(p, freedom) - expected).abs() < 5e-4, "{p} {freedom}: {}", student_t(p, freedom));
        }
        assert!((normal(0.975) - NORMAL_975).abs() < 1e-12);
        assert!((normal(0.75) - 0.674_489_750_196_081_7).abs() < 1e-12);
    }
}
