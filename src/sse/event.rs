//! One dispatched event, borrowed.

use std::borrow::Cow;

/// One dispatched event; it borrows from the parser until the next one is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    pub(super) event_type: &'a [u8],
    pub(super) data: &'a [u8],
    pub(super) id: &'a [u8],
    pub(super) end: u64,
}

impl<'a> Event<'a> {
    /// The data, its lines joined by LF, as the bytes that came.
    #[must_use]
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// The data as text; malformed UTF-8 becomes U+FFFD (HTML §9.2.5).
    #[must_use]
    pub fn data_lossy(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.data)
    }

    /// The event type; empty stands for `message`.
    #[must_use]
    pub fn event_type(&self) -> &'a [u8] {
        self.event_type
    }

    /// The last event id at this event.
    #[must_use]
    pub fn id(&self) -> &'a [u8] {
        self.id
    }

    /// How many bytes of the stream had been fed when the event was due.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }
}
