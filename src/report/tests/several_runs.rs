//! Several runs of one workload beside each other.

use super::{certificate, run, summary, text};
use crate::report::repeats;
use crate::runfile::{Repeats, Run, Status};
use crate::units::NS_PER_MS;

/// Runs whose quantiles lie so many milliseconds over those of the made-up one; the last one was interrupted.
fn repeated(shifts_ms: &[u64]) -> Repeats {
    let run = |(number, shift_ms): (u64, &u64)| {
        let mut summary = summary();
        let rows = summary.groups.iter_mut().flat_map(|group| &mut group.metrics).map(|metric| &mut metric.all);
        for quantile in rows.flat_map(|row| &mut row.quantiles) {
            for ns in [&mut quantile.value_ns, &mut quantile.low_ns, &mut quantile.high_ns].into_iter().flatten() {
                *ns += shift_ms * NS_PER_MS;
            }
        }
        summary.groups[0].rates.completed_per_s += number as f64;
        Run {
            id: format!("{}-{number}", run().id),
            seed: number,
            origin_unix_ns: number,
            plan_hash: format!("fnv1a64:{number}"),
            status: if number + 1 == shifts_ms.len() as u64 { Status::Interrupted } else { Status::Done },
            summary: Some(summary),
            certificate: Some(certificate()),
            ..run()
        }
    };
    let runs: Vec<_> = (0..).zip(shifts_ms).map(run).collect();
    let asked = runs.len().max(5);
    Repeats::of("made_up-x5".to_owned(), (u32::try_from(asked).ok(), Some(0)), &runs).expect("they are of one workload")
}

#[test]
fn several_runs_beside_each_other_in_text() {
    let told = |shifts_ms: &[u64]| {
        let mut out = Vec::new();
        repeats::write_text(&repeated(shifts_ms), "reports/made_up-x5", &mut out).expect("a vector takes it");
        String::from_utf8(out).expect("text")
    };
    insta::assert_snapshot!("repeats_text", told(&[0, 2, 70, 0]));
    insta::assert_snapshot!("repeats_text_many", told(&[0, 1, 2, 3, 4, 5, 6, 9, 0]));
    insta::assert_snapshot!("repeats_text_one", told(&[0, 0]));
}

#[test]
fn several_runs_beside_each_other_in_markdown() {
    let mut out = Vec::new();
    repeats::write_markdown(&repeated(&[0, 2, 70, 0]), &mut out).expect("a vector takes it");
    let told = String::from_utf8(out).expect("text");
    // What is said of one metric is said of all.
    let shown = |line: &&str| !line.starts_with("| ") || line.contains("chunk") || !line.contains(" p");
    insta::assert_snapshot!(told.lines().filter(shown).collect::<Vec<_>>().join("\n"));
}

#[test]
fn several_runs_beside_each_other_on_a_page() {
    let page = text(|out| repeats::write_html(&repeated(&[0, 2, 70, 0]), out));
    // What is said of one metric is said of all.
    let shown =
        |line: &&str| !line.starts_with("<tr><td>") || line.contains("to first chunk p") || !line.contains(" p");
    insta::assert_snapshot!(page.lines().filter(shown).collect::<Vec<_>>().join("\n"));
    assert!(page.contains("<th>run 3</th>"), "{page}");
}

#[test]
fn a_page_of_several_runs_shows_hostile_text_as_text() {
    let mut hostile = repeated(&[0, 2, 0]);
    hostile.id = "<script>alert(1)</script>".into();
    hostile.runs[0].id = "\"onload=\"x".into();
    hostile.across.groups[0].variant = Some("</h2><img src=x>".into());
    hostile.across.objectives[0].objective = "<a href=//b>".into();
    let page = text(|out| repeats::write_html(&hostile, out));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
    let one = text(|out| repeats::write_html(&repeated(&[0, 0]), out));
    let none = text(|out| repeats::write_html(&repeated(&[0]), out));
    for forbidden in ["<script", "<img", "<a ", "\"onload", "src=\"", "href=\"", "url(", "@import", "NaN", "inf"] {
        for page in [&page, &one, &none] {
            assert!(!page.contains(forbidden), "{forbidden} stands in\n{page}");
        }
    }
}
