//! `plimsoll merge`: joins the run bundles of one plan.

use std::io::Write;

use anyhow::Context;

use super::{Exit, report};
use crate::cli::MergeArgs;
use crate::runfile::merge;

/// Joins the bundles that the arguments name and prints the report of all together.
///
/// # Errors
/// They do not belong together, one can't be read, or the new one can't be written.
pub fn run(args: &MergeArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    let (folder, run) = merge::merge(&args.runs, &args.out).context("failed to merge")?;
    report::write_files(&folder, &run)?;
    report::first_screen(&run, &folder, out)?;
    Ok(Exit::Done)
}
