//! A run, shown: one file a format, each takes a writer. Nothing here computes a statistic.

pub mod calibration;
pub mod csv;
mod figures;
pub mod hgrm;
pub mod html;
pub mod junit;
pub mod markdown;
mod page;
pub mod parts;
mod plot;
pub mod repeats;
pub mod table;
pub mod terminal;
mod xml;

#[cfg(test)]
mod tests;
