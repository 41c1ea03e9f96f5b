//! The pacer against formulas, a naive twin and the distributions that it claims to follow.

use proptest::prelude::*;
use statrs::distribution::{ContinuousCDF, Exp, Gamma};

use super::*;

const SECOND: u64 = 1_000_000_000;
const SEED: Seed = Seed(7);

fn rate(text: &str) -> Rate {
    Rate::parse(text).expect("a rate")
}

fn stretch(from: &str, to: &str, seconds: u64) -> Stretch {
    Stretch { from: rate(from), to: rate(to), length_ns: seconds * SECOND }
}

fn first(pacer: &Pacer, count: usize) -> Vec<u64> {
    pacer.starts().take(count).collect()
}

#[test]
fn a_constant_rate_does_not_drift() {
    let pacer = Pacer::steady(rate("90/m"), Arrival::Constant, SEED).expect("a law");
    assert_eq!(first(&pacer, 4), [0, 666_666_666, 1_333_333_333, 2 * SECOND]);
    let hour = pacer.starts().nth(90 * 60).expect("it goes on");
    assert_eq!(hour, 3_600 * SECOND);
    let thirds = Pacer::steady(rate("3"), Arrival::Constant, SEED).expect("a law");
    assert_eq!(thirds.starts().nth(3_000_000), Some(1_000_000 * SECOND));
}

#[test]
fn a_ramp_starts_when_the_area_under_it_says_so() {
    // From 0 to 10 a second over 10 s: start i at √(2·i) seconds.
    let pacer = Pacer::changing(&[stretch("0", "10", 10)], Arrival::Constant, SEED).expect("a law");
    let all: Vec<_> = pacer.starts().collect();
    assert_eq!(all.len(), 50);
    for (index, at) in (0_u32..).zip(&all) {
        let formula = (2.0 * f64::from(index)).sqrt() * 1e9;
        assert!((*at as f64 - formula).abs() <= 1.0, "start {index}: {at} against {formula}");
    }
    assert_eq!((pacer.end_ns(), pacer.expected(10 * SECOND)), (Some(10 * SECOND), 50.0));
}

#[test]
fn stages_follow_each_other_and_a_pause_has_no_starts() {
    let stages = [stretch("2", "2", 2), stretch("0", "0", 3), stretch("4", "4", 1)];
    let pacer = Pacer::changing(&stages, Arrival::Constant, SEED).expect("a law");
    let half = SECOND / 2;
    let told: Vec<_> = pacer.starts().collect();
    // The fifth is due when four have been, which holds all through the pause: it comes when the pause is over.
    assert_eq!(
        told,
        [0, half, 2 * half, 3 * half, 10 * half, 10 * half + 250_000_000, 11 * half, 11 * half + 250_000_000]
    );
    let late = Pacer::changing(&[stretch("0", "0", 5), stretch("1", "1", 2)], Arrival::Constant, SEED).expect("a law");
    assert_eq!(late.starts().collect::<Vec<_>>(), [5 * SECOND, 6 * SECOND]);
}

#[test]
fn a_load_of_many_stages_ends_before_the_start_that_its_end_is_due_at() {
    let stages = [("0", "20", 10), ("20", "20", 5), ("20", "100", 10), ("0", "0", 2), ("10", "10", 1), ("10", "0", 4)];
    let stages = stages.map(|(from, to, seconds)| stretch(from, to, seconds));
    let pacer = Pacer::changing(&stages, Arrival::Constant, SEED).expect("a law");
    // 100 + 100 + 600 + 0 + 10 + 20.
    assert_eq!(pacer.starts().count(), 830);
    let tenths = vec![stretch("0.1", "0.1", 1); 100_000];
    let pacer = Pacer::changing(&tenths, Arrival::Constant, SEED).expect("a law");
    let starts: Vec<_> = pacer.starts().collect();
    assert!((0..10_000).map(|index| index * 10 * SECOND).eq(starts), "a rate that never changes has no drift");
}

#[test]
fn bursts_come_together_and_traces_are_kept() {
    let bursts = Pacer::bursts(3, SECOND).expect("a law");
    assert_eq!(first(&bursts, 7), [0, 0, 0, SECOND, SECOND, SECOND, 2 * SECOND]);
    assert_eq!((bursts.expected(SECOND), bursts.expected(SECOND + 1)), (3.0, 6.0));
    let trace = Pacer::trace(&[5, 5, 9]).expect("a law");
    assert_eq!(trace.starts().collect::<Vec<_>>(), [5, 5, 9]);
    assert_eq!((trace.end_ns(), trace.expected(6)), (Some(10), 2.0));
}

#[test]
fn what_is_no_load_is_refused() {
    let zero = Rate::parse("0").expect("a rate");
    let refused = [
        Pacer::steady(zero, Arrival::Constant, SEED),
        Pacer::steady(rate("1"), Arrival::Gamma { shape: 1e-8 }, SEED),
        Pacer::steady(rate("1"), Arrival::Gamma { shape: 1e7 }, SEED),
        Pacer::steady(rate("1"), Arrival::Gamma { shape: f64::NAN }, SEED),
        Pacer::changing(&[], Arrival::Constant, SEED),
        Pacer::changing(&[stretch("0", "0", 9)], Arrival::Poisson, SEED),
        Pacer::changing(&[stretch("5", "9", 0)], Arrival::Poisson, SEED),
        Pacer::bursts(0, SECOND),
        Pacer::bursts(3, 0),
        Pacer::trace(&[]),
        Pacer::trace(&[1, 7, 6, 8]),
    ];
    let told: Vec<_> = refused.map(|law| law.expect_err("it starts nothing").to_string()).to_vec();
    insta::assert_snapshot!(told.join("\n"), @"
    a rate of 0 never starts anything
    gamma distributed gaps need a shape from 0.01 to 1000000
    gamma distributed gaps need a shape from 0.01 to 1000000
    gamma distributed gaps need a shape from 0.01 to 1000000
    it takes no time, so that it never starts anything
    its rate is 0 throughout, so that it never starts anything
    it takes no time, so that it never starts anything
    bursts need a size and a distance over 0
    bursts need a size and a distance over 0
    it has no instants
    it goes back in time at instant 3 (counted from 1): 6 ns after 7 ns
    ");
}

fn arrival() -> impl Strategy<Value = Arrival> {
    prop_oneof![
        Just(Arrival::Constant),
        Just(Arrival::Poisson),
        (0.1..9.0_f64).prop_map(|shape| Arrival::Gamma { shape }),
    ]
}

fn stages() -> impl Strategy<Value = Vec<Stretch>> {
    let one = (0..200_u32, 0..200_u32, 1..20_000_u64).prop_map(|(from, to, ms)| Stretch {
        from: rate(&from.to_string()),
        to: rate(&to.to_string()),
        length_ns: ms * 1_000_000,
    });
    proptest::collection::vec(one, 1..6)
}

/// When Λ has reached `count` for the last time, by halving the time again and again.
fn naive_instant(pacer: &Pacer, count: f64) -> u64 {
    let (mut low, mut high) = (0, pacer.end_ns().expect("stages end"));
    while high - low > 1 {
        let middle = low.midpoint(high);
        if pacer.expected(middle) <= count { low = middle } else { high = middle }
    }
    low
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_same_seed_gives_the_same_instants_in_order(seed in any::<u64>(), arrival in arrival(), stages in stages()) {
        let Ok(pacer) = Pacer::changing(&stages, arrival, Seed(seed)) else { return Ok(()) };
        let [first, second] = [(), ()].map(|()| pacer.starts().collect::<Vec<_>>());
        prop_assert_eq!(&first, &second);
        prop_assert!(first.is_sorted());
        prop_assert!(first.last().is_none_or(|last| *last <= pacer.end_ns().unwrap_or(0)));
    }

    #[test]
    fn constant_stages_agree_with_their_naive_twin(stages in stages()) {
        let Ok(pacer) = Pacer::changing(&stages, Arrival::Constant, SEED) else { return Ok(()) };
        let starts: Vec<_> = pacer.starts().collect();
        let expected = pacer.expected(u64::MAX);
        prop_assert!((starts.len() as f64 - expected.ceil()).abs() <= 1.0, "{} against {expected}", starts.len());
        for (index, at) in starts.iter().enumerate().step_by(17) {
            let naive = naive_instant(&pacer, index as f64);
            // At the start of a ramp from 0 the count hardly grows, so that a rounding of it is some nanoseconds.
            prop_assert!(at.abs_diff(naive) <= 100, "start {index}: {at} against {naive}");
        }
    }

    #[test]
    fn workers_that_each_take_their_share_make_the_whole(workers in 1..9_usize, arrival in arrival()) {
        let pacer = Pacer::steady(rate("250"), arrival, SEED).expect("a law");
        let whole = first(&pacer, 900);
        let mut dealt: Vec<_> = (0..workers)
            .flat_map(|worker| pacer.starts().enumerate().take(900).skip(worker).step_by(workers))
            .collect();
        dealt.sort_unstable();
        prop_assert_eq!(dealt.into_iter().map(|(_, at)| at).collect::<Vec<_>>(), whole);
    }

    #[test]
    fn the_mean_rate_is_what_was_asked_for(seed in any::<u64>(), arrival in arrival(), per_s in 1..5_000_u64) {
        const COUNT: u64 = 20_000;
        let pacer = Pacer::steady(rate(&per_s.to_string()), arrival, Seed(seed)).expect("a law");
        let last = pacer.starts().nth(20_000).expect("it goes on");
        let variation = match arrival { Arrival::Gamma { shape } => (1.0 / shape).sqrt(), _ => 1.0 };
        let ratio = last as f64 * per_s as f64 / 1e9 / COUNT as f64;
        // Six standard errors: one run in a thousand million.
        prop_assert!((ratio - 1.0).abs() <= 6.0 * variation / (COUNT as f64).sqrt(), "{ratio}");
    }
}

/// The largest distance between the samples' distribution and `cdf` (Kolmogorov & Smirnov), times √n.
fn kolmogorov(mut samples: Vec<f64>, cdf: impl Fn(f64) -> f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    let count = samples.len() as f64;
    let away = |(index, x): (usize, &f64)| {
        let (below, above, at) = (index as f64 / count, (index + 1) as f64 / count, cdf(*x));
        (at - below).abs().max((above - at).abs())
    };
    samples.iter().enumerate().map(away).fold(0.0, f64::max) * count.sqrt()
}

/// What the statistic stays under with probability 0.999 when the law is the claimed one.
const KOLMOGOROV_999: f64 = 1.95;

fn gaps(instants: &[u64]) -> Vec<f64> {
    instants.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect()
}

#[test]
fn poisson_arrivals_have_exponential_gaps_and_poisson_counts() {
    let pacer = Pacer::steady(rate("1000"), Arrival::Poisson, SEED).expect("a law");
    let instants = first(&pacer, 50_000);
    let law = Exp::new(1e-6).expect("a rate");
    assert!(kolmogorov(gaps(&instants), |x| law.cdf(x)) < KOLMOGOROV_999);
    // The variance of the counts of a Poisson process is their mean; one that was rescaled to a count has less.
    let whole_windows = usize::try_from(instants.last().expect("some") / SECOND).expect("few");
    let mut counts = vec![0.0_f64; whole_windows];
    for at in &instants {
        if let Some(count) = counts.get_mut(usize::try_from(at / SECOND).expect("few")) {
            *count += 1.0;
        }
    }
    let mean = counts.iter().sum::<f64>() / counts.len() as f64;
    let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / (counts.len() - 1) as f64;
    let dispersion = variance / mean;
    // 49 windows: χ²/48 lies within these bounds with probability 0.999.
    assert!((0.45..1.85).contains(&dispersion), "{dispersion}");
}

#[test]
fn gamma_arrivals_have_the_shape_that_was_asked_for() {
    for shape in [0.3, 1.0, 4.0] {
        let pacer = Pacer::steady(rate("100"), Arrival::Gamma { shape }, SEED).expect("a law");
        let law = Gamma::new(shape, shape / 1e7).expect("a shape");
        let statistic = kolmogorov(gaps(&first(&pacer, 20_000)), |x| law.cdf(x));
        assert!(statistic < KOLMOGOROV_999, "shape {shape}: {statistic}");
    }
}

#[test]
fn a_poisson_process_under_a_changing_rate_is_still_one() {
    let stages = [stretch("10", "200", 60), stretch("200", "200", 30), stretch("200", "0", 60)];
    let pacer = Pacer::changing(&stages, Arrival::Poisson, SEED).expect("a law");
    let instants: Vec<_> = pacer.starts().collect();
    // Brought back to operational time, the gaps are exponential with mean 1 (Brown et al. 2002).
    let counts: Vec<_> = instants.iter().map(|at| pacer.expected(*at)).collect();
    let gaps: Vec<_> = counts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let law = Exp::new(1.0).expect("a rate");
    assert!(gaps.len() > 15_000 && kolmogorov(gaps, |x| law.cdf(x)) < KOLMOGOROV_999);
}
