//! Takes the framing off a body (RFC 9112 §6.3, §7.1). Pure: bytes in, pieces of them out.

use super::Error;
use super::head::Framing;

/// Bytes that the lines between chunks and the trailer may have in all: extensions and trailers are skipped.
const OVERHEAD_BYTES_MAX: u64 = 16 * 1024;

/// The most digits of a size that is read in one step.
const PLAIN_DIGITS_MAX: usize = 8;

/// Takes the framing off one body.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// Bytes of extensions and trailers so far.
    overhead: u64,
}

/// What a decoder found next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A piece of the body.
    Data(&'a [u8]),
    /// Nothing before more bytes come.
    More,
    /// The body's end; what is left in the bytes is not its.
    End,
}

/// Where in the framing a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many bytes to come, without chunks.
    Length(u64),
    UntilClose,
    /// In a size; whether a digit was seen.
    Size(u64, bool),
    /// White space after a size.
    Space(u64),
    Extension(u64),
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    /// At the start of a trailer line, or of the empty line that ends the body.
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    Done,
}

impl Decoder {
    /// For a body that is framed like this.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(0) => State::Done,
            Framing::Length(bytes) => State::Length(bytes),
            Framing::UntilClose => State::UntilClose,
            Framing::Chunked => State::Size(0, false),
        };
        Self { state, overhead: 0 }
    }

    /// Takes the next piece off `rest`.
    ///
    /// # Errors
    /// The bytes are no chunks.
    pub fn next<'a>(&mut self, rest: &mut &'a [u8]) -> Result<Step<'a>, Error> {
        loop {
            if self.state == State::Done {
                return Ok(Step::End);
            }
            let Some((first, after)) = rest.split_first() else { return Ok(Step::More) };
            if let Some((state, taken)) = self.plain_framing(rest) {
                *rest = &rest[taken..];
                self.state = state;
                continue;
            }
            match self.state {
                State::UntilClose => return Ok(Step::Data(std::mem::take(rest))),
                State::Length(left) | State::Data(left) => {
                    let (data, left) = take(rest, left);
                    self.state = match self.state {
                        State::Length(_) if left == 0 => State::Done,
                        State::Length(_) => State::Length(left),
                        _ if left == 0 => State::DataCr,
                        _ => State::Data(left),
                    };
                    return Ok(Step::Data(data));
                }
                _ => {
                    *rest = after;
                    self.state = self.framing(*first)?;
                }
            }
        }
    }

    /// Whether the body has ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the body may end by the connection's close.
    ///
    /// # Errors
    /// There is more to come.
    pub fn close(&self) -> Result<(), Error> {
        if matches!(self.state, State::UntilClose | State::Done) { Ok(()) } else { Err(Error::ClosedInBody) }
    }

    /// What almost all framing is, in one step: a line end behind a chunk, and a size without anything else in its line.
    fn plain_framing(&self, rest: &[u8]) -> Option<(State, usize)> {
        match self.state {
            State::DataCr if rest.starts_with(b"\r\n") => Some((State::Size(0, false), 2)),
            State::Size(0, false) => {
                let digits = rest.iter().take(PLAIN_DIGITS_MAX).take_while(|byte| byte.is_ascii_hexdigit()).count();
                let size = rest[..digits].iter().try_fold(0, |size, byte| digit(size, *byte)).ok()?;
                let is_plain = size > 0 && rest[digits..].starts_with(b"\r\n");
                is_plain.then_some((State::Data(size), digits + 2))
            }
            _ => None,
        }
    }

    /// One byte between the chunks.
    fn framing(&mut self, byte: u8) -> Result<State, Error> {
        let refuse = |why| Err(Error::Chunk(why));
        Ok(match (self.state, byte) {
            (State::Size(size, _), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => State::Size(digit(size, byte)?, true),
            (State::Size(_, false), _) => return refuse("a size is missing"),
            (State::Size(size, true) | State::Space(size), b' ' | b'\t') => State::Space(size),
            (State::Size(size, true) | State::Space(size), b';') => State::Extension(size),
            (State::Size(size, true) | State::Space(size) | State::Extension(size), b'\r') => State::SizeLf(size),
            (State::Size(..) | State::Space(_), _) => return refuse("a size is not hexadecimal"),
            (State::Extension(_), b'\n') => return refuse("a line ends without a carriage return"),
            (State::Extension(size), _) => self.skipping(State::Extension(size))?,
            (State::SizeLf(0), b'\n') => State::TrailerStart,
            (State::SizeLf(size), b'\n') => State::Data(size),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size(0, false),
            (State::DataCr | State::DataLf, _) => return refuse("a chunk is longer than its size"),
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::Trailer, b'\r') => State::TrailerLf,
            (State::TrailerStart | State::Trailer, _) => self.skipping(State::Trailer)?,
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::EndLf, b'\n') => State::Done,
            (State::SizeLf(_) | State::TrailerLf | State::EndLf, _) => return refuse("a line feed is missing"),
            (State::Length(_) | State::UntilClose | State::Data(_) | State::Done, _) => {
                unreachable!("these are no framing")
            }
        })
    }

    fn skipping(&mut self, state: State) -> Result<State, Error> {
        self.overhead += 1;
        if self.overhead > OVERHEAD_BYTES_MAX {
            return Err(Error::Chunk("extensions and trailers have over 16 KiB"));
        }
        Ok(state)
    }
}

/// Up to `left` bytes off `rest`, and how many are left then.
fn take<'a>(rest: &mut &'a [u8], left: u64) -> (&'a [u8], u64) {
    let here = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
    let (data, after) = rest.split_at(here);
    *rest = after;
    (data, left - here as u64)
}

fn digit(size: u64, byte: u8) -> Result<u64, Error> {
    let digit = char::from(byte).to_digit(16).expect("the caller saw a digit");
    let size = size.checked_mul(16).and_then(|size| size.checked_add(u64::from(digit)));
    size.ok_or(Error::Chunk("a size does not fit 64 bits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(framing: Framing, pieces: &[&[u8]]) -> Result<(Vec<u8>, bool, usize), String> {
        let (mut decoder, mut body) = (Decoder::new(framing), Vec::new());
        for piece in pieces {
            let mut rest = *piece;
            loop {
                match decoder.next(&mut rest).map_err(|error| error.to_string())? {
                    Step::Data(data) => body.extend_from_slice(data),
                    Step::More => break,
                    Step::End => return Ok((body, true, rest.len())),
                }
            }
        }
        decoder.close().map(|()| (body, false, 0)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_chunked_body_is_the_same_at_every_split() {
        let wire = b"5;a=\"b\"\r\nhello\r\n00C \t\r\n, my\r\n world\r\n0\r\nx-trailer: 1\r\n\r\nHTTP/1.1";
        for at in 0..=wire.len() {
            let (head, tail) = wire.split_at(at);
            let whole = decode(Framing::Chunked, &[head, tail]);
            let (body, ended, _) = whole.unwrap_or_else(|error| panic!("at {at}: {error}"));
            assert_eq!((body.as_slice(), ended), (&b"hello, my\r\n world"[..], true), "at {at}");
        }
        let bytes: Vec<&[u8]> = wire.chunks(1).collect();
        assert_eq!(decode(Framing::Chunked, &bytes).map(|told| told.0.len()), Ok(17));
        assert_eq!(decode(Framing::Chunked, &[wire]).map(|told| told.2), Ok(8), "the next answer is left alone");
    }

    #[test]
    fn what_is_no_chunk_is_refused_and_what_is_missing_is_told() {
        for bad in [
            "\r\n",
            "x\r\n",
            "1\r\nab\r\n",
            "5 5\r\n",
            "5;\n",
            "5\rx",
            "10000000000000000\r\n",
            "0\r\nx: y\rz",
            "0\r\n\rx",
        ] {
            let error = decode(Framing::Chunked, &[bad.as_bytes()]).expect_err(bad);
            assert!(error.starts_with("the body's chunks"), "{bad:?}: {error}");
        }
        for cut in ["", "5", "5\r\nhel", "5\r\nhello\r\n", "0\r\n", "0\r\n\r"] {
            insta::allow_duplicates! {
                insta::assert_snapshot!(decode(Framing::Chunked, &[cut.as_bytes()]).expect_err(cut), @"the connection closed inside the body");
            }
        }
        let endless = format!("0\r\n{}", "a: b\r\n".repeat(4_000));
        assert!(decode(Framing::Chunked, &[endless.as_bytes()]).is_err());
    }

    #[test]
    fn a_length_and_a_close_end_a_body() {
        assert_eq!(decode(Framing::Length(5), &[b"hel", b"lo!"]), Ok((b"hello".to_vec(), true, 1)));
        assert!(decode(Framing::Length(5), &[b"hel"]).is_err());
        assert_eq!(decode(Framing::Length(0), &[b"x"]), Ok((vec![], true, 1)));
        assert_eq!(decode(Framing::UntilClose, &[b"hel", b"lo"]), Ok((b"hello".to_vec(), false, 0)));
    }
}
