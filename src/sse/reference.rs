//! The specification transcribed naively: all the text at once, line by line (HTML §9.2.5, §9.2.6).

/// What the interpretation of a whole stream gives.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Interpreted {
    /// Type, data and last id of each event.
    pub(super) events: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)>,
    /// How many bytes must have come before each event is due: up to the first byte that ends its blank line.
    pub(super) due: Vec<u64>,
    /// The last event id.
    pub(super) last_id: Vec<u8>,
    /// Comment lines.
    pub(super) comments: u64,
    /// Lines with a field that the specification does not know.
    pub(super) unknown_fields: u64,
    /// The reconnection time, in milliseconds.
    pub(super) retry_ms: Option<u64>,
}

pub(super) fn interpret(stream: &[u8]) -> Interpreted {
    let (mut data, mut kind, mut id) = (Vec::new(), Vec::new(), Vec::new());
    let mut seen = Interpreted::default();
    for (line, due) in lines(stream) {
        if line.is_empty() {
            seen.last_id.clone_from(&id);
            if data.is_empty() {
                kind.clear();
                continue;
            }
            data.pop();
            seen.events.push((std::mem::take(&mut kind), std::mem::take(&mut data), seen.last_id.clone()));
            seen.due.push(due);
            continue;
        }
        if line[0] == b':' {
            seen.comments += 1;
            continue;
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let name = &line[..colon];
        let mut value = line.get(colon + 1..).unwrap_or(&[]);
        if value.first() == Some(&b' ') {
            value = &value[1..];
        }
        if name == b"data" {
            data.extend_from_slice(value);
            data.push(b'\n');
        } else if name == b"event" {
            kind = value.to_vec();
        } else if name == b"id" {
            if !value.contains(&0) {
                id = value.to_vec();
            }
        } else if name == b"retry" {
            if !value.is_empty() && value.iter().all(u8::is_ascii_digit) {
                let text = std::str::from_utf8(value).expect("digits are ASCII");
                seen.retry_ms = Some(text.parse().unwrap_or(u64::MAX));
            }
        } else {
            seen.unknown_fields += 1;
        }
    }
    seen
}

/// The lines that have an end, each with the place after the first byte of its end; a last one without is no line yet.
fn lines(stream: &[u8]) -> Vec<(Vec<u8>, u64)> {
    let (mut lines, mut line, mut at) = (Vec::new(), Vec::new(), 0);
    if stream.starts_with(b"\xEF\xBB\xBF") {
        at = 3;
    }
    while at < stream.len() {
        match stream[at] {
            b'\r' | b'\n' => {
                lines.push((std::mem::take(&mut line), at as u64 + 1));
                at += usize::from(stream[at] == b'\r' && stream.get(at + 1) == Some(&b'\n'));
            }
            byte => line.push(byte),
        }
        at += 1;
    }
    lines
}
