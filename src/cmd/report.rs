//! `plimsoll report`: renders a run bundle again, also one whose run was killed.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::{Exit, output};
use crate::cli::{ReportArgs, ReportFormat, Schema};
use crate::metrics::Metric;
use crate::report::{csv, hgrm, html, junit, markdown, repeats as report_of_repeats, terminal};
use crate::runfile::bundle;
use crate::runfile::repeats::{self, REPEATS};
use crate::runfile::{Repeats, Run, hlog, readback, schema, verify};

/// The first screen, where it is written to a folder.
const REPORT_TXT: &str = "report.txt";
/// What was summed up again, where it is written to a folder.
const REPORT_JSON: &str = "report.json";
/// The report for people, in a bundle.
pub(super) const REPORT_MD: &str = "report.md";
/// The page for people, in a bundle.
const REPORT_HTML: &str = "report.html";
/// The table of metrics, in a bundle.
const SUMMARY_CSV: &str = "summary.csv";
/// The report for CI, in a bundle.
const JUNIT_XML: &str = "junit.xml";

/// Renders the run, or the runs of one workload, that the arguments name.
///
/// # Errors
/// A folder is no bundle, the runs do not belong together, or the output can't be written.
pub fn run(args: &ReportArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    if let Some(of) = args.schema {
        let text = match of {
            Schema::Run => schema::RUN,
            Schema::Repeats => schema::REPEATS,
        };
        out.write_all(text.as_bytes())?;
        return Ok(Exit::Done);
    }
    let bundles = args.runs.iter().map(|path| repeats::bundles(path)).collect::<Result<Vec<_>, _>>();
    let bundles = bundles.context("failed to report")?.concat();
    match (&args.runs[..], &bundles[..]) {
        ([named], [folder]) if named == folder => one(folder, args, out),
        _ => several(&bundles, args, out),
    }
}

fn one(folder: &Path, args: &ReportArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    let mut run = read_run(folder)?;
    if args.verify {
        return verified(folder, &run, out);
    }
    // Always from the rows: a run that was killed has no summary of its own, and the others say the same.
    let readback = readback::sum_up(folder, &run).with_context(|| failed_to_read(folder))?;
    run.adopt(readback);
    let rendered = render(&run, folder, args.format)?;
    place(args, folder, &rendered, out)?;
    Ok(Exit::Done)
}

fn read_run(folder: &Path) -> anyhow::Result<Run> {
    readback::read_run(folder).with_context(|| failed_to_read(folder))
}

fn failed_to_read(folder: &Path) -> String {
    format!("failed to read {}", folder.display())
}

/// Puts what was rendered where the arguments say: standard output, a file, a folder, or the bundle.
fn place(args: &ReportArgs, bundle: &Path, files: &[Rendered], out: &mut impl Write) -> anyhow::Result<()> {
    let shown = matches!(args.format, ReportFormat::Text | ReportFormat::Json);
    let output = args.output.as_deref();
    if output == Some(Path::new("-")) || output.is_none() && shown {
        return Ok(files.iter().try_for_each(|(_, text)| out.write_all(text))?);
    }
    match (output, files) {
        (Some(path), [(_, text)]) if !path.is_dir() => {
            let written = output::create(path)
                .and_then(|mut file| file.write_all(text).and_then(|()| file.flush()).map_err(output::unwritten(path)));
            written.context("failed to report")?;
            writeln!(out, "{}", path.display())?;
        }
        (Some(path), _) if !path.is_dir() => {
            bail!("failed to report: {} files don't fit into {}: name a folder with -o", files.len(), path.display())
        }
        (folder, _) => {
            let folder = folder.unwrap_or(bundle);
            for (name, text) in files {
                bundle::write_whole(folder, name, text).context("failed to report")?;
                writeln!(out, "{}", folder.join(name).display())?;
            }
        }
    }
    Ok(())
}

/// Reads each bundle and sums it up.
fn read_all(bundles: &[PathBuf]) -> anyhow::Result<Vec<Run>> {
    let read = |folder: &PathBuf| {
        let mut run = readback::read_run(folder)?;
        run.adopt(readback::sum_up(folder, &run)?);
        Ok::<_, readback::Error>(run)
    };
    let runs = bundles.iter().map(|folder| read(folder).with_context(|| failed_to_read(folder)));
    runs.collect()
}

/// Shows runs of one workload beside each other.
fn several(bundles: &[PathBuf], args: &ReportArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    if args.verify {
        let mut worst = Exit::Done;
        for folder in bundles {
            writeln!(out, "{}", folder.display())?;
            let run = read_run(folder)?;
            worst = worst.or(verified(folder, &run, out)?);
        }
        return Ok(worst);
    }
    let folder = args.runs.first().filter(|_| args.runs.len() == 1);
    let series = folder.map(|folder| repeats::read(folder)).transpose().context("failed to report")?.flatten();
    let asked = (series.as_ref().map(|series| series.asked), series.as_ref().and_then(|series| series.pause_ns));
    let id = match (&series, folder.and_then(|folder| folder.file_name())) {
        (Some(series), _) => series.id.clone(),
        (None, Some(name)) => name.display().to_string(),
        (None, None) => names(bundles),
    };
    let runs = read_all(bundles)?;
    let repeats = Repeats::of(id, asked, &runs).context("failed to report")?;
    let mut text = Vec::new();
    let name = match args.format {
        ReportFormat::Text => {
            let files = folder.map_or_else(|| names(bundles), |folder| folder.display().to_string());
            report_of_repeats::write_text(&repeats, &files, &mut text)?;
            REPORT_TXT
        }
        ReportFormat::Json => {
            text.extend(repeats.to_json().into_bytes());
            REPORT_JSON
        }
        ReportFormat::Md => {
            report_of_repeats::write_markdown(&repeats, &mut text)?;
            REPORT_MD
        }
        ReportFormat::Html => {
            report_of_repeats::write_html(&repeats, &mut text)?;
            REPORT_HTML
        }
        ReportFormat::Csv | ReportFormat::Junit | ReportFormat::Hgrm => {
            bail!(
                "failed to report: several runs are shown as text, md, json or html; name one run for the other formats"
            )
        }
    };
    let nowhere = folder.is_none() && args.output.is_none();
    let args = if nowhere { &ReportArgs { output: Some("-".into()), ..args.clone() } } else { args };
    place(args, folder.map_or(Path::new("."), PathBuf::as_path), &[(name.to_owned(), text)], out)?;
    Ok(Exit::Done)
}

fn names(bundles: &[PathBuf]) -> String {
    bundles.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Writes what several runs come to beside their bundles, for machines and for people.
///
/// # Errors
/// A file can't be written.
pub fn write_repeats(folder: &Path, repeats: &Repeats) -> anyhow::Result<()> {
    let mut text = Vec::new();
    report_of_repeats::write_markdown(repeats, &mut text)?;
    repeats.write(folder)?;
    Ok(bundle::write_whole(folder, REPORT_MD, &text)?)
}

/// Writes the first screen of several runs.
///
/// # Errors
/// The output can't be written.
pub fn repeats_screen(folder: &Path, repeats: &Repeats, out: &mut impl Write) -> io::Result<()> {
    let names: Vec<_> = repeats.runs.iter().map(|run| run.id.as_str()).collect();
    let files = format!("{} ({}, {REPORT_MD}, {REPEATS})", folder.display(), names.join(", "));
    report_of_repeats::write_text(repeats, &files, out)
}

/// A file of a report: its name in a folder, and what it holds.
type Rendered = (String, Vec<u8>);

/// The files of a format, each with its name in the bundle.
fn render(run: &Run, folder: &Path, format: ReportFormat) -> anyhow::Result<Vec<Rendered>> {
    let (Some(summary), Some(certificate)) = (&run.summary, &run.certificate) else { return Ok(Vec::new()) };
    let mut text = Vec::new();
    let name = match format {
        ReportFormat::Text => {
            first_screen(run, folder, &mut text)?;
            REPORT_TXT
        }
        ReportFormat::Json => {
            text.extend(run.to_json().into_bytes());
            REPORT_JSON
        }
        ReportFormat::Md => {
            markdown::write(run, summary, certificate, &mut text)?;
            REPORT_MD
        }
        ReportFormat::Html => {
            html::write(
                run,
                summary,
                certificate,
                &readback::seconds(folder).with_context(|| failed_to_read(folder))?,
                &mut text,
            )?;
            REPORT_HTML
        }
        ReportFormat::Csv => {
            csv::write(summary, &mut text)?;
            SUMMARY_CSV
        }
        ReportFormat::Junit => {
            junit::write(run, summary, certificate, &mut text)?;
            JUNIT_XML
        }
        ReportFormat::Hgrm => return distributions(folder),
    };
    Ok(vec![(name.to_owned(), text)])
}

/// Most file systems take names of 255 bytes.
const FILE_NAME_MAX: usize = 200;

/// The name of a metric's file: that of the metric, and for one too long a number in the place of its end.
fn distribution_file(metric: &str, number: usize) -> String {
    let name = hlog::escaped(metric);
    match name.len() > FILE_NAME_MAX {
        // Escaped text is ASCII; what is left of an escape at the cut is as good as any other end.
        true => format!("{}-{number}.hgrm", &name[..FILE_NAME_MAX]),
        false => format!("{name}.hgrm"),
    }
}

/// The distribution of each metric.
fn distributions(folder: &Path) -> anyhow::Result<Vec<Rendered>> {
    let mut files = Vec::new();
    let each = readback::completed(folder).with_context(|| failed_to_read(folder))?;
    for (number, (metric, all)) in each.into_iter().enumerate() {
        let mut text = Vec::new();
        let of_all = [Metric::ClientLag, Metric::StampError].iter().any(|of_events| of_events.name() == metric);
        hgrm::write(&metric, if of_all { "all events" } else { "completed invocations" }, &all, &mut text)?;
        files.push((distribution_file(&metric, number), text));
    }
    Ok(files)
}

/// Says whether a bundle agrees with itself, and in which fields it does not.
fn verified(folder: &Path, run: &Run, out: &mut impl Write) -> anyhow::Result<Exit> {
    let found = verify::verify(folder, run).with_context(|| format!("failed to verify {}", folder.display()))?;
    if found.is_empty() {
        writeln!(out, "verified: run.json says what its rows and histograms say, to the last digit")?;
        return Ok(Exit::Done);
    }
    for difference in &found {
        writeln!(out, "differs   {}: stored {}, made again {}", difference.field, difference.one, difference.other)?;
    }
    writeln!(
        out,
        "INVALID   the bundle contradicts itself in {} fields: a file was changed or is incomplete",
        found.len()
    )?;
    Ok(Exit::Invalid)
}

/// Writes the reports that lie in a bundle.
///
/// # Errors
/// A file can't be written.
pub fn write_files(folder: &Path, run: &Run) -> anyhow::Result<()> {
    let (Some(summary), Some(certificate)) = (&run.summary, &run.certificate) else { return Ok(()) };
    let mut text = Vec::new();
    markdown::write(run, summary, certificate, &mut text)?;
    Ok(bundle::write_whole(folder, REPORT_MD, &text)?)
}

/// Writes the first screen of a run that is summed up.
///
/// # Errors
/// The output can't be written.
pub fn first_screen(run: &Run, folder: &Path, out: &mut impl Write) -> io::Result<()> {
    let (Some(summary), Some(certificate)) = (&run.summary, &run.certificate) else { return Ok(()) };
    let mut names: Vec<_> = fs::read_dir(folder)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    let files = format!("{} ({})", folder.display(), names.join(", "));
    terminal::write(run, summary, certificate, &files, out)
}
