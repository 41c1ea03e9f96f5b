//! A run, shown: one file a format, each takes a writer. Nothing here computes a statistic.

mod figures;
pub mod markdown;
pub mod parts;
pub mod table;
pub mod terminal;

#[cfg(test)]
mod tests;
