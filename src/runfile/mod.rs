//! runfile
