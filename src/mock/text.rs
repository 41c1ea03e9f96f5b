//! What the mock's agent says: a text, told again and again from anywhere, cut into pieces of any length.

/// With characters of one to four bytes, and with what JSON has to escape.
const CORPUS: &str = "A mark on a ship's hull shows how deep she may lie in the water. Samuel Plimsoll, a coal merchant \
    from Bristol, fought for it: owners had sent overloaded \"coffin ships\" to sea and insured them well. The Act of \
    1876 made the mark compulsory — though at first the owner himself could paint it where he liked, and one wag in \
    Cardiff put it on the funnel. 🚢\n\nToday the load line is set by convention: TF in tropical fresh water, F in \
    fresh, T in the tropics, S in summer, W in winter, WNA in the winter North Atlantic. Warm water carries less than \
    cold, and fresh less than salt, so the same ship may load more in Malmö in January than in Belém in July. Naïve \
    sums go wrong: a façade of spare freeboard is gone in one gale. 積載限度線 is its name in Japanese, грузовая марка \
    in Russian.\n\nWhat holds for ships holds for services: there is a load that can be carried safely, it depends on \
    the waters, and whoever paints the line on the funnel will find out at sea. Measure first; then paint. ";

/// What it says instead where the script wants a wrong answer.
const APOLOGY: &str = "I am sorry, but I can't help with that right now. Please try again later. ";

/// Which text is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Text {
    #[default]
    Corpus,
    Apology,
}

impl Text {
    fn whole(self) -> (&'static str, u64) {
        const CORPUS_CHARS: u64 = chars(CORPUS);
        const APOLOGY_CHARS: u64 = chars(APOLOGY);
        match self {
            Self::Corpus => (CORPUS, CORPUS_CHARS),
            Self::Apology => (APOLOGY, APOLOGY_CHARS),
        }
    }
}

/// How many characters a text has.
const fn chars(text: &str) -> u64 {
    let (bytes, mut at, mut chars) = (text.as_bytes(), 0, 0);
    while at < bytes.len() {
        // A byte 10xxxxxx goes on with the character before it.
        if bytes[at] & 0b1100_0000 != 0b1000_0000 {
            chars += 1;
        }
        at += 1;
    }
    chars
}

/// A piece of what is said: where it begins and how many bytes it has; over the end it goes on from the beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Piece {
    text: Text,
    from: u32,
    bytes: u32,
}

impl Piece {
    /// A piece of this many characters that begins near `at`, wherever that is.
    pub(super) fn near(at: u64, chars: u64) -> Self {
        let mut from = usize::try_from(at % CORPUS.len() as u64).expect("it is below the length");
        while !CORPUS.is_char_boundary(from) {
            from -= 1;
        }
        Self { text: Text::Corpus, from: small(from), bytes: 0 }.then(chars)
    }

    /// The very beginning of an apology, which answers nothing.
    pub(super) fn apology() -> Self {
        Self { text: Text::Apology, from: 0, bytes: 0 }
    }

    /// The piece of this many characters that follows.
    pub(super) fn then(self, chars: u64) -> Self {
        let (text, text_chars) = self.text.whole();
        let from = (self.from as usize + self.bytes as usize) % text.len();
        let rest = chars % text_chars;
        let mut bytes = chars / text_chars * text.len() as u64;
        let mut told = text[from..].chars().chain(text[..from].chars());
        bytes += (0..rest).map_while(|_| told.next()).map(|c| c.len_utf8() as u64).sum::<u64>();
        Self { text: self.text, from: small(from), bytes: u32::try_from(bytes).unwrap_or(u32::MAX) }
    }

    /// Both pieces, of which the other follows this one.
    pub(super) fn and(self, other: Self) -> Self {
        Self { bytes: self.bytes.saturating_add(other.bytes), ..self }
    }

    /// How many bytes it has.
    pub(super) fn len(self) -> usize {
        self.bytes as usize
    }

    /// Its text, in pieces of the whole one.
    fn told(self) -> impl Iterator<Item = &'static str> {
        let (text, _) = self.text.whole();
        let (mut from, mut rest) = (self.from as usize, self.bytes as usize);
        std::iter::from_fn(move || {
            (rest > 0).then(|| {
                let end = text.len().min(from + rest);
                let piece = &text[from..end];
                rest -= piece.len();
                from = 0;
                piece
            })
        })
    }

    /// Appends it as it stands inside a JSON string.
    pub(super) fn write_json(self, out: &mut Vec<u8>) {
        self.told().for_each(|piece| escape(piece, out));
    }
}

impl std::fmt::Display for Piece {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.told().try_for_each(|piece| out.write_str(piece))
    }
}

fn small(at: usize) -> u32 {
    u32::try_from(at).expect("the texts are short")
}

/// Appends a text as it stands inside a JSON string (RFC 8259 §7).
pub(super) fn escape(text: &str, out: &mut Vec<u8>) {
    let mut clean = 0;
    for (at, byte) in text.bytes().enumerate() {
        let short: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..0x20 => {
                out.extend_from_slice(&text.as_bytes()[clean..at]);
                out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                clean = at + 1;
                continue;
            }
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[clean..at]);
        out.extend_from_slice(short);
        clean = at + 1;
    }
    out.extend_from_slice(&text.as_bytes()[clean..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_have_the_length_asked_for_and_follow_each_other(
            at: u64, first in 0_u64..40, second in 0_u64..3_000, apology: bool,
        ) {
            let one = if apology { Piece::apology().then(first) } else { Piece::near(at, first) };
            let two = one.then(second);
            prop_assert_eq!(one.to_string().chars().count() as u64, first);
            prop_assert_eq!(two.to_string().chars().count() as u64, second);
            prop_assert_eq!(one.and(two).to_string(), format!("{one}{two}"));
            prop_assert_eq!(two.to_string().len(), two.len());
        }

        #[test]
        fn escaped_text_is_read_back(text: String) {
            let mut json = vec![b'"'];
            escape(&text, &mut json);
            json.push(b'"');
            prop_assert_eq!(serde_json::from_slice::<String>(&json).expect("JSON"), text);
        }
    }
}
