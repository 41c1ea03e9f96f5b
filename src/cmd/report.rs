//! `plimsoll report`: renders a run bundle again, also one whose run was killed.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, bail};

use super::Exit;
use crate::cli::{ReportArgs, ReportFormat};
use crate::report::{csv, hgrm, html, junit, markdown, terminal};
use crate::runfile::bundle::{self, RUN};
use crate::runfile::{Run, hlog, readback, verify};

/// The report for people, in a bundle.
const REPORT_MD: &str = "report.md";
/// The page for people, in a bundle.
const REPORT_HTML: &str = "report.html";
/// The table of metrics, in a bundle.
const SUMMARY_CSV: &str = "summary.csv";
/// The report for CI, in a bundle.
const JUNIT_XML: &str = "junit.xml";

/// Renders the bundle that the arguments name.
///
/// # Errors
/// The folder is no bundle, or the output can't be written.
pub fn run(args: &ReportArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    let folder = &args.run;
    if !folder.join(RUN).is_file() {
        bail!(
            "failed to find a run in {}: there is no {RUN}; name a run's folder, such as reports/…",
            folder.display()
        );
    }
    let mut run = readback::read_run(folder).context("failed to read the run")?;
    if args.verify {
        return verified(folder, &run, out);
    }
    // Always from the rows: a run that was killed has no summary of its own, and the others say the same.
    let readback = readback::sum_up(folder, &run).context("failed to read the run")?;
    run.adopt(readback);
    let rendered = match args.format {
        ReportFormat::Text => {
            first_screen(&run, folder, out)?;
            return Ok(Exit::Done);
        }
        ReportFormat::Json => {
            out.write_all(run.to_json().as_bytes())?;
            return Ok(Exit::Done);
        }
        format => render(&run, folder, format)?,
    };
    for (name, text) in rendered {
        if args.output.as_deref() == Some("-") {
            out.write_all(&text)?;
            continue;
        }
        bundle::write_whole(folder, &name, &text)?;
        writeln!(out, "{}", folder.join(name).display())?;
    }
    Ok(Exit::Done)
}

/// The files of a format, each with its name in the bundle.
fn render(run: &Run, folder: &Path, format: ReportFormat) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let (Some(summary), Some(certificate)) = (&run.summary, &run.certificate) else { return Ok(Vec::new()) };
    let mut text = Vec::new();
    let name = match format {
        ReportFormat::Text | ReportFormat::Json | ReportFormat::Md => {
            markdown::write(run, summary, certificate, &mut text)?;
            REPORT_MD
        }
        ReportFormat::Html => {
            html::write(run, summary, certificate, &readback::seconds(folder)?, &mut text)?;
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

/// The distribution of each metric, of completed invocations.
fn distributions(folder: &Path) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for (metric, all) in readback::completed(folder).context("failed to read the histograms")? {
        let mut text = Vec::new();
        hgrm::write(&metric, &all, &mut text)?;
        files.push((format!("{}.hgrm", hlog::escaped(&metric)), text));
    }
    Ok(files)
}

/// Says whether a bundle agrees with itself, and in which fields it does not.
fn verified(folder: &Path, run: &Run, out: &mut impl Write) -> anyhow::Result<Exit> {
    let found = verify::verify(folder, run).context("failed to verify the run")?;
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
    let mut text = Vec::new();
    write_markdown(run, &mut text)?;
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

fn write_markdown(run: &Run, out: &mut impl Write) -> io::Result<()> {
    let (Some(summary), Some(certificate)) = (&run.summary, &run.certificate) else { return Ok(()) };
    markdown::write(run, summary, certificate, out)
}
