//! Where the time went: the parts of the mean invocation as a line, as bars and as tables.

use std::io::{self, Write};

use super::figures::{bounded, printable, share, time};
use super::table::{Table, escape_markdown};
use crate::metrics::decomposition::{Decomposition, PART_QUANTILES, Slice};
use crate::metrics::{Metric, Part, PartTimes};
use crate::units::Human;

/// The parts that a line names; the others are one.
const NAMED: usize = 4;
/// How wide a bar of the whole is, in characters.
const BAR_CHARS: f64 = 40.0;

/// The largest parts in one line: `38 % model · 22 % web_search · 12 % 3 others`.
pub(super) fn line<'s>(slices: impl IntoIterator<Item = &'s Slice>) -> String {
    let mut slices: Vec<_> = slices.into_iter().collect();
    slices.sort_by(|a, b| b.share.total_cmp(&a.share));
    let named = if slices.len() == NAMED + 1 { slices.len() } else { slices.len().min(NAMED) };
    let (first, others) = slices.split_at(named);
    let mut texts: Vec<_> = first.iter().map(|slice| of(slice.share, &printable(slice.name()))).collect();
    if !others.is_empty() {
        texts.push(of(others.iter().map(|slice| slice.share).sum(), &format!("{} others", others.len())));
    }
    texts.join(" · ")
}

fn of(share: f64, name: &str) -> String {
    match share * 100.0 {
        percent if percent < 0.5 => format!("<1 % {name}"),
        percent => format!("{percent:.0} % {name}"),
    }
}

/// The largest parts of some time in one line.
pub(super) fn times_line(times: &PartTimes) -> String {
    let sum_ns = times.sum_ns().max(1) as f64;
    let slice = |(part, ns): (Part, u64)| Slice { part, tool: None, ns, share: ns as f64 / sum_ns };
    line(&times.each().map(slice).collect::<Vec<_>>())
}

/// A bar as long as the share; what is not nothing has a trace.
pub(super) fn bar(share: f64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share is within 0 and 1")]
    let eighths = (share.clamp(0.0, 1.0) * BAR_CHARS * 8.0).round() as usize;
    let eighths = if share > 0.0 { eighths.max(1) } else { 0 };
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// The parts of one invocation with a bar each, for a terminal.
///
/// # Errors
/// The output can't be written.
pub fn write_bars(slices: &[Slice], out: &mut impl Write) -> io::Result<()> {
    let names: Vec<_> = slices.iter().map(|slice| printable(slice.name())).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    for (name, slice) in names.iter().zip(slices) {
        let (ns, percent) = (Human(slice.ns).to_string(), share(slice.share));
        writeln!(out, "{}", format!("{name:<width$} {ns:>8} {percent:>12}  {}", bar(slice.share)).trim_end())?;
    }
    Ok(())
}

/// All that is known of where the time went, as Markdown.
pub(super) fn write_markdown(of: &Decomposition, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "### Where the time of completed invocations went\n")?;
    writeln!(
        out,
        "The mean one took {} from its start to its finish, {} after the intended start; its parts add up to that.\n",
        Human(of.total_ns_mean),
        Human(of.start_lag_ns_mean),
    )?;
    mean(of, out)?;
    if let Some(tail) = &of.tail {
        writeln!(
            out,
            "\nThe p99 is made of {}: the mean of the {} invocations that took {} or more.",
            escape_markdown(&line(&tail.parts)),
            tail.invocations,
            Human(tail.from_ns),
        )?;
    }
    turns(of, out)?;
    slowest(of, out)
}

fn mean(of: &Decomposition, out: &mut impl Write) -> io::Result<()> {
    let mut table = Table::new(["part", "mean", "share", "p50", "p95", "invocations with it", "of the mean"]);
    for part in &of.parts {
        let quantiles = PART_QUANTILES.map(|p| bounded(part.quantiles.iter().find(|one| one.p.total_cmp(&p).is_eq())));
        let before = [full_name(&part.mean), Human(part.mean.ns).to_string(), share(part.mean.share)];
        table.row(before.into_iter().chain(quantiles).chain([part.invocations.to_string(), bar(part.mean.share)]));
    }
    let sum = ["sum".to_owned(), Human(of.total_ns_mean).to_string(), "100 %".to_owned()];
    table.row(sum.into_iter().chain([String::new(), String::new(), of.invocations.to_string(), String::new()]));
    table.write_markdown(out)
}

fn turns(of: &Decomposition, out: &mut impl Write) -> io::Result<()> {
    if of.turns.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n#### By turn\n")?;
    let mut names: Vec<_> = of.turns.iter().flat_map(|turn| turn.parts.iter().map(full_name)).collect();
    names.sort_by_key(|name| of.parts.iter().position(|part| full_name(&part.mean) == *name));
    names.dedup();
    let head = ["turn", "invocations", "mean"].into_iter().map(ToOwned::to_owned).chain(names.iter().cloned());
    let head: Vec<_> = head.collect();
    let mut table = Table::new(head.iter().map(String::as_str));
    for turn in &of.turns {
        let name = turn.turn.map_or_else(|| "conversation, as the sum".to_owned(), |turn| (turn + 1).to_string());
        let cell =
            |name: &String| time(turn.parts.iter().find(|slice| full_name(slice) == *name).map(|slice| slice.ns));
        let before = [name, turn.invocations.to_string(), Human(turn.total_ns_mean).to_string()];
        table.row(before.into_iter().chain(names.iter().map(cell)));
    }
    table.write_markdown(out)
}

fn slowest(of: &Decomposition, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\n#### The slowest\n")?;
    let scenarios = of.slowest.iter().any(|slow| slow.scenario.is_some());
    let names = ["variant"].into_iter().chain(scenarios.then_some("scenario"));
    let head = ["plan index"].into_iter().chain(names);
    let mut table = Table::new(head.chain(["turn", "from the intended start", "start lag", "made of"]));
    for slow in &of.slowest {
        let scenario = scenarios.then(|| slow.scenario.clone().unwrap_or_default());
        let names = [slow.plan_index.to_string(), slow.variant.clone()].into_iter().chain(scenario);
        table.row(names.chain([
            (slow.turn + 1).to_string(),
            Human(slow.finish_ns).to_string(),
            Human(slow.start_lag_ns).to_string(),
            line(&slow.parts),
        ]));
    }
    table.write_markdown(out)
}

/// The definitions of the parts.
pub(super) fn definitions(table: &mut Table) {
    for part in Part::ALL {
        table.row([format!("part.{}", part.name()), part.definition().to_owned()]);
    }
}

/// A tool's part is told from the metric of its calls.
fn full_name(slice: &Slice) -> String {
    match &slice.tool {
        Some(tool) => format!("part.{}.{tool}", Metric::Tool.name()),
        None => format!("part.{}", slice.part.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(part: Part, tool: Option<&str>, share: f64) -> Slice {
        Slice { part, tool: tool.map(str::to_owned), ns: 1_000_000, share }
    }

    #[test]
    fn a_line_names_the_largest_and_sums_up_the_others() {
        let mut slices = vec![
            slice(Part::Queue, None, 0.11),
            slice(Part::Tool, Some("web\u{1b}[2J"), 0.22),
            slice(Part::Model, None, 0.38),
            slice(Part::Answer, None, 0.287),
            slice(Part::Closing, None, 0.003),
        ];
        assert_eq!(line(&slices), "38 % model · 29 % answer · 22 % web [2J · 11 % queue · <1 % closing");
        slices.push(slice(Part::Wait, None, 0.0));
        assert_eq!(line(&slices), "38 % model · 29 % answer · 22 % web [2J · 11 % queue · <1 % 2 others");
    }

    #[test]
    fn bars_are_as_long_as_their_shares() {
        assert_eq!([0.0, 0.001, 0.05, 0.51].map(bar), ["", "▏", "██", "████████████████████▍"]);
        let mut out = Vec::new();
        let slices = [slice(Part::Model, None, 0.75), slice(Part::Tool, Some("search"), 0.25)];
        write_bars(&slices, &mut out).expect("a vector takes it");
        insta::assert_snapshot!(String::from_utf8(out).expect("text"), @"
        model    1.00ms         75 %  ██████████████████████████████
        search   1.00ms         25 %  ██████████
        ");
    }
}
