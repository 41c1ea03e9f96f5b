//! The layout of a table of text: columns as wide as their widest cell, the first to the left, the others to the right.

use std::io::{self, Write};

use super::xml::escape;

/// Rows of cells; the first is the head.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with this head.
    #[must_use]
    pub fn new<'a>(head: impl IntoIterator<Item = &'a str>) -> Self {
        Self { rows: vec![head.into_iter().map(ToOwned::to_owned).collect()] }
    }

    /// One more row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Writes it as text.
    ///
    /// # Errors
    /// The output can't be written.
    pub fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or_default()
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                if line.is_empty() {
                    line.push_str(&format!("{cell:<width$}"));
                } else {
                    line.push_str(&format!("  {cell:>width$}"));
                }
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    /// Writes it as HTML; cells are escaped. A wide one scrolls by itself.
    ///
    /// # Errors
    /// The output can't be written.
    pub fn write_html(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "<div class=\"wide\"><table>")?;
        for (at, row) in self.rows.iter().enumerate() {
            let tag = if at == 0 { "th" } else { "td" };
            let cells: String = row.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect();
            writeln!(out, "<tr>{cells}</tr>")?;
        }
        writeln!(out, "</table></div>")
    }

    /// Writes it as Markdown; cells are escaped.
    ///
    /// # Errors
    /// The output can't be written.
    pub fn write_markdown(&self, out: &mut impl Write) -> io::Result<()> {
        for (at, row) in self.rows.iter().enumerate() {
            let cells: Vec<_> = row.iter().map(|cell| escape_markdown(cell)).collect();
            writeln!(out, "| {} |", cells.join(" | "))?;
            if at == 0 {
                let rules: Vec<_> = (0..row.len()).map(|column| if column == 0 { "---" } else { "---:" }).collect();
                writeln!(out, "|{}|", rules.join("|"))?;
            }
        }
        Ok(())
    }
}

/// Text that Markdown shows as it stands, in one line.
#[must_use]
pub fn escape_markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '|' | '`' | '*' | '_' | '<' | '>' | '[' | ']' | '#' => escaped.extend(['\\', c]),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_cells_are_escaped() {
        let mut table = Table::new(["what", "p50"]);
        table.row(["ttfc".to_owned(), "1.23s".to_owned()]);
        table.row(["a|b <i>".to_owned(), "–".to_owned()]);
        let mut out = Vec::new();
        table.write_text(&mut out).expect("a vector takes it");
        table.write_markdown(&mut out).expect("a vector takes it");
        table.write_html(&mut out).expect("a vector takes it");
        insta::assert_snapshot!(String::from_utf8(out).expect("text"), @r#"
        what       p50
        ttfc     1.23s
        a|b <i>      –
        | what | p50 |
        |---|---:|
        | ttfc | 1.23s |
        | a\|b \<i\> | – |
        <div class="wide"><table>
        <tr><th>what</th><th>p50</th></tr>
        <tr><td>ttfc</td><td>1.23s</td></tr>
        <tr><td>a|b &lt;i&gt;</td><td>–</td></tr>
        </table></div>
        "#);
    }
}
