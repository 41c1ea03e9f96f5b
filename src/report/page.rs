//! The frame of a page for people, which opens offline: no script, no network, everything in it.

use std::io::{self, Write};

use super::xml::escape;

/// The looks of a page; it follows the reader's choice of a light or a dark one.
const STYLE: &str = "\
:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
table{border-collapse:collapse;margin:.5rem 0 1.5rem;font-variant-numeric:tabular-nums}\
td,th{padding:.15rem .6rem;text-align:right;border-bottom:1px solid #8884}td:first-child,th:first-child{text-align:left}\
small{opacity:.7}.warning{border-left:4px solid #d80;padding:.2rem .8rem;margin:.5rem 0}.wide{overflow-x:auto}\
svg{width:100%;height:auto}.grid{stroke:#8884}.curve{fill:none;stroke-width:2;stroke-linecap:round}\
.interval{stroke-width:6;opacity:.3}text{font-size:12px;fill:currentColor}.scale{text-anchor:end}.mark{text-anchor:middle}";

/// Begins a page, with its title.
pub(super) fn begin(title: &str, out: &mut impl Write) -> io::Result<()> {
    let title = escape(title);
    writeln!(out, "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">")?;
    writeln!(
        out,
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    )?;
    writeln!(
        out,
        "<meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<style>{STYLE}</style>"
    )?;
    writeln!(out, "<h1>{title}</h1>")
}

/// What its reader should know before the numbers.
pub(super) fn warn(warning: &impl ToString, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "<p class=\"warning\">{}</p>", escape(&warning.to_string()))
}
