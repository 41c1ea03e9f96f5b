//! The events of several bundles, one bundle's after the other's, on the common clock.

use std::path::Path;

use super::{Error, Source, unread};
use crate::runfile::events::{self, Encoding, Event, EventLog};

/// Writes the events of all sources into a folder.
///
/// Several runs of one plan have its indices in common: each of a source's streams begins with its event 0, and is over
/// before those of the next source begin.
pub(super) fn write(sources: &[Source], encoding: Encoding, folder: &Path) -> Result<(), Error> {
    let log = EventLog::create(folder, encoding)?;
    let mut sheet = log.sheet();
    for source in sources {
        let rows = events::read(&source.folder, |event| {
            // Every field is named: a new one must find its place here.
            let Event { plan_index, event_index, ref kind, read, bytes, text_bytes, .. } = *event;
            let [earliest_ns, arrival_ns, handled_ns] =
                [event.earliest_ns, event.arrival_ns, event.handled_ns].map(|at_ns| at_ns + source.shift_ns);
            let kind = kind.clone();
            sheet.write(&Event {
                plan_index,
                event_index,
                kind,
                earliest_ns,
                arrival_ns,
                handled_ns,
                read,
                bytes,
                text_bytes,
            });
        });
        let rows = rows.map_err(unread(&source.folder))?;
        rows.map_or(Ok(()), |rows| source.whole(encoding.file(), rows))?;
    }
    drop(sheet);
    Ok(log.finish()?)
}

/// How the first source's events are compressed; none when no source has any. Where one has some, all must have.
pub(super) fn encoding(sources: &[Source]) -> Result<Option<Encoding>, Error> {
    let has = |source: &&Source| events::encoding(&source.folder).is_some();
    let Some(with) = sources.iter().find(has) else { return Ok(None) };
    if let Some(without) = sources.iter().find(|source| !has(source)) {
        let (with, without) = (with.folder.clone(), without.folder.clone());
        return Err(Error::EventsMissing { with, without });
    }
    Ok(events::encoding(&with.folder))
}
