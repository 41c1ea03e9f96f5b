//! The specification transcribed naively: all the text at once, line by line (HTML §9.2.5, §9.2.6).

/// What the interpretation of a whole stream gives.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Interpreted {
    /// Type, data and last id of each event.
    pub(super) events: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)>,
    /// The last event id.
    pub(super) last_id: Vec<u8>,
    /// Comment lines.
    pub(super) comments: u64,
    /// The reconnection time, in milliseconds.
    pub(super) retry_ms: Option<u64>,
}

pub(super) fn interpret(stream: &[u8]) -> Interpreted {
    let stream = stream.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(stream);
    let (mut data, mut kind, mut id) = (Vec::new(), Vec::new(), Vec::new());
    let mut seen = Interpreted::default();
    for line in lines(stream) {
        if line.is_empty() {
            seen.last_id.clone_from(&id);
            if data.is_empty() {
                kind.clear();
                continue;
            }
            data.pop();
            seen.events.push((std::mem::take(&mut kind), std::mem::take(&mut data), seen.last_id.clone()));
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
        } else if name == b"id" && !value.contains(&0) {
            id = value.to_vec();
        } else if name == b"retry" && !value.is_empty() && value.iter().all(u8::is_ascii_digit) {
            let text = std::str::from_utf8(value).expect("digits are ASCII");
            seen.retry_ms = Some(text.parse().unwrap_or(u64::MAX));
        }
    }
    seen
}

/// The lines that have an end; a last one without is no line yet.
fn lines(stream: &[u8]) -> Vec<Vec<u8>> {
    let (mut lines, mut line, mut at) = (Vec::new(), Vec::new(), 0);
    while at < stream.len() {
        match stream[at] {
            b'\r' | b'\n' => {
                at += usize::from(stream[at] == b'\r' && stream.get(at + 1) == Some(&b'\n'));
                lines.push(std::mem::take(&mut line));
            }
            byte => line.push(byte),
        }
        at += 1;
    }
    lines
}
