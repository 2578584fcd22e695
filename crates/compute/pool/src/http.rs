//! As much of HTTP/1.1 as runtimes speak: request heads, bodies of known length, chunked bodies.

use bytes::{Buf, Bytes, BytesMut};

/// A request head larger than this is no runtime's.
const MAX_HEAD_BYTES: usize = 32 * 1024;
const MAX_HEADERS: usize = 64;
/// The line that begins a chunk: a hexadecimal number and perhaps an extension.
const MAX_CHUNK_LINE: usize = 256;
/// A header after a chunked body: the longest is an error with its stack, in base64.
const MAX_TRAILER_LINE: usize = 64 * 1024;
const MAX_TRAILERS: usize = 16;

const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
const ERROR_BODY: &str = "lambda-runtime-function-error-body";

/// Why a connection cannot be read on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem(pub(crate) &'static str);

/// What all headers of extensions begin with.
const EXTENSION: &str = "lambda-extension-";

/// The headers of an extension's request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ExtensionHeaders {
    /// `Lambda-Extension-Name`
    pub(crate) name: Option<String>,
    /// `Lambda-Extension-Identifier`
    pub(crate) id: Option<String>,
    /// `Lambda-Extension-Accept-Feature`
    pub(crate) features: Option<String>,
    /// `Lambda-Extension-Function-Error-Type`
    pub(crate) error_type: Option<String>,
}

impl ExtensionHeaders {
    fn note(&mut self, rest: &str, value: String) {
        let member = match rest.to_ascii_lowercase().as_str() {
            "name" => &mut self.name,
            "identifier" => &mut self.id,
            "accept-feature" => &mut self.features,
            "function-error-type" => &mut self.error_type,
            _ => return,
        };
        *member = Some(value);
    }
}

/// The start of a request, as far as it matters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) expects_continue: bool,
    /// `Lambda-Runtime-Function-Error-Type`
    pub(crate) error_type: Option<String>,
    /// `Lambda-Runtime-Function-Response-Mode: streaming`
    pub(crate) is_streaming: bool,
    /// The same with another value.
    pub(crate) has_odd_mode: bool,
    pub(crate) content_type: Option<String>,
    /// Of an extension's request.
    pub(crate) extension: Option<Box<ExtensionHeaders>>,
    length: Length,
}

/// What a runtime says after a body that it could not finish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trailers {
    /// `Lambda-Runtime-Function-Error-Type`
    pub(crate) error_type: Option<String>,
    /// `Lambda-Runtime-Function-Error-Body`: JSON in base64.
    pub(crate) error_body: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Known(u64),
    Chunked,
}

impl Head {
    /// Takes a whole head off the front of `input`; `None` when more must be read.
    pub(crate) fn take(input: &mut BytesMut) -> Result<Option<Self>, Problem> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let length = match request.parse(input) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if input.len() > MAX_HEAD_BYTES => {
                return Err(Problem("the request's head is too large"));
            }
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(Problem("this is not an HTTP request")),
        };
        let mut head = Self {
            method: request.method.unwrap_or_default().to_owned(),
            path: request.path.unwrap_or_default().to_owned(),
            expects_continue: false,
            error_type: None,
            is_streaming: false,
            has_odd_mode: false,
            content_type: None,
            extension: None,
            length: Length::Known(0),
        };
        for header in request.headers.iter() {
            head.note(header.name, header.value)?;
        }
        input.advance(length);
        Ok(Some(head))
    }

    fn note(&mut self, name: &str, value: &[u8]) -> Result<(), Problem> {
        let text = || String::from_utf8_lossy(value).trim().to_owned();
        if name.eq_ignore_ascii_case("content-length") {
            let length = text().parse().map_err(|_| Problem("Content-Length is not a number"))?;
            if self.length != Length::Chunked {
                self.length = Length::Known(length);
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            self.length = Length::Chunked;
        } else if name.eq_ignore_ascii_case("expect") {
            self.expects_continue = true;
        } else if name.get(..EXTENSION.len()).is_some_and(|start| start.eq_ignore_ascii_case(EXTENSION)) {
            self.extension.get_or_insert_default().note(&name[EXTENSION.len()..], text());
        } else if name.eq_ignore_ascii_case(ERROR_TYPE) {
            self.error_type = Some(text());
        } else if name.eq_ignore_ascii_case("lambda-runtime-function-response-mode") {
            let mode = text();
            self.is_streaming = mode.eq_ignore_ascii_case("streaming");
            self.has_odd_mode = !self.is_streaming && !mode.is_empty();
        } else if name.eq_ignore_ascii_case("content-type") {
            self.content_type = Some(text());
        }
        Ok(())
    }
}

/// A request body on its way in. Beyond its bound it is read but not kept.
#[derive(Debug)]
pub(crate) struct Body {
    state: State,
    kept: BytesMut,
    max_bytes: usize,
    too_large: bool,
    trailers: Trailers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many bytes are still to come.
    Plain(u64),
    ChunkSize,
    /// So many bytes of this chunk are still to come, and then a line end.
    Chunk(u64),
    ChunkEnd,
    /// So many lines of them were read.
    Trailers(usize),
    Done,
}

impl Body {
    pub(crate) fn new(head: &Head, max_bytes: usize) -> Self {
        let state = match head.length {
            Length::Known(length) => State::Plain(length),
            Length::Chunked => State::ChunkSize,
        };
        Self { state, kept: BytesMut::new(), max_bytes, too_large: false, trailers: Trailers::default() }
    }

    /// Takes what it can off the front of `input`; true when the body is whole.
    pub(crate) fn take(&mut self, input: &mut BytesMut) -> Result<bool, Problem> {
        loop {
            self.state = match self.state {
                State::Done => return Ok(true),
                State::Plain(0) => State::Done,
                State::Plain(_) if input.is_empty() => return Ok(false),
                State::Plain(left) => State::Plain(left - self.keep(left, input)),
                State::Chunk(0) => State::ChunkEnd,
                State::Chunk(_) if input.is_empty() => return Ok(false),
                State::Chunk(left) => State::Chunk(left - self.keep(left, input)),
                State::ChunkSize => match take_line(input, MAX_CHUNK_LINE)? {
                    None => return Ok(false),
                    Some(line) => match chunk_size(&line)? {
                        0 => State::Trailers(0),
                        size => State::Chunk(size),
                    },
                },
                State::ChunkEnd => match take_line(input, MAX_CHUNK_LINE)? {
                    None => return Ok(false),
                    Some(line) if line.is_empty() => State::ChunkSize,
                    Some(_) => return Err(Problem("a chunk is longer than it said")),
                },
                State::Trailers(MAX_TRAILERS) => return Err(Problem("there are too many trailers")),
                State::Trailers(read) => match take_line(input, MAX_TRAILER_LINE)? {
                    None => return Ok(false),
                    Some(line) if line.is_empty() => State::Done,
                    Some(line) => {
                        self.trailers.note(&line);
                        State::Trailers(read + 1)
                    }
                },
            };
        }
    }

    /// The whole body; `None` when it was larger than its bound.
    pub(crate) fn finish(self) -> Option<Bytes> {
        (!self.too_large).then(|| self.kept.freeze())
    }

    /// What was read since this was last asked; the body goes on without it.
    pub(crate) fn take_piece(&mut self) -> Bytes {
        self.kept.split().freeze()
    }

    /// What was said after a chunked body; complete once the body is whole.
    pub(crate) fn take_trailers(&mut self) -> Trailers {
        std::mem::take(&mut self.trailers)
    }

    #[cfg(test)]
    pub(crate) fn kept_bytes(&self) -> usize {
        self.kept.len()
    }

    fn keep(&mut self, left: u64, input: &mut BytesMut) -> u64 {
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        if self.kept.len() + take > self.max_bytes {
            self.too_large = true;
            self.kept = BytesMut::new();
        }
        if self.too_large {
            input.advance(take);
        } else if self.kept.is_empty() && take as u64 == left {
            // The whole body is here: no copy.
            self.kept = input.split_to(take);
        } else {
            self.kept.extend_from_slice(&input.split_to(take));
        }
        take as u64
    }
}

impl Trailers {
    /// Whether the body is not what the function meant to send.
    pub(crate) fn is_error(&self) -> bool {
        self.error_type.is_some() || self.error_body.is_some()
    }

    fn note(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let Some((name, value)) = text.split_once(':') else { return };
        let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        if name.eq_ignore_ascii_case(ERROR_TYPE) {
            self.error_type = value;
        } else if name.eq_ignore_ascii_case(ERROR_BODY) {
            self.error_body = value;
        }
    }
}

fn take_line(input: &mut BytesMut, max_bytes: usize) -> Result<Option<Bytes>, Problem> {
    let Some(end) = input.windows(2).position(|pair| pair == b"\r\n") else {
        let hopeless = input.len() > max_bytes;
        return if hopeless { Err(Problem("a line of a chunked body is too long")) } else { Ok(None) };
    };
    let line = input.split_to(end).freeze();
    input.advance(2);
    Ok(Some(line))
}

fn chunk_size(line: &[u8]) -> Result<u64, Problem> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let text = std::str::from_utf8(digits).unwrap_or_default().trim();
    u64::from_str_radix(text, 16).map_err(|_| Problem("a chunk's size is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parts: &[&[u8]], max_bytes: usize) -> Option<Bytes> {
        let mut input = BytesMut::new();
        let mut head = None;
        let mut body = None;
        for part in parts {
            input.extend_from_slice(part);
            if head.is_none() {
                head = Head::take(&mut input).unwrap();
                body = head.as_ref().map(|head| Body::new(head, max_bytes));
            }
            if let Some(mut reading) = body.take() {
                if reading.take(&mut input).unwrap() {
                    assert!(input.is_empty());
                    return reading.finish();
                }
                body = Some(reading);
            }
        }
        panic!("the request is not whole");
    }

    #[test]
    fn bodies_are_the_same_however_they_are_cut() {
        let whole = b"POST /x HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello";
        for cut in 1..whole.len() {
            assert_eq!(read(&[&whole[..cut], &whole[cut..]], 10).unwrap(), "hello");
        }
        let chunked = b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;a=b\r\nlo\r\n0\r\nT: 1\r\n\r\n";
        for cut in 1..chunked.len() {
            assert_eq!(read(&[&chunked[..cut], &chunked[cut..]], 10).unwrap(), "hello");
        }
    }

    #[test]
    fn large_bodies_are_read_but_not_kept() {
        assert_eq!(read(&[b"POST /x HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"], 4), None);
    }

    #[test]
    fn a_body_is_taken_in_pieces_and_ends_with_what_went_wrong() {
        let mut input = BytesMut::from(
            &b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Type: a/b\r\n\
               Lambda-Runtime-Function-Response-Mode: Streaming\r\n\r\n3\r\nhel\r\n"[..],
        );
        let head = Head::take(&mut input).unwrap().unwrap();
        assert!(head.is_streaming);
        assert_eq!(head.content_type.as_deref(), Some("a/b"));
        let mut body = Body::new(&head, usize::MAX);
        assert_eq!(body.take(&mut input), Ok(false));
        assert_eq!(body.take_piece(), "hel");
        input.extend_from_slice(b"2\r\nlo\r\n0\r\nlambda-runtime-function-error-type: Oh.No\r\n");
        assert_eq!(body.take(&mut input), Ok(false));
        assert_eq!(body.take_piece(), "lo");
        input.extend_from_slice(b"Lambda-Runtime-Function-Error-Body: e30=\r\nOther: 1\r\n\r\n");
        assert_eq!(body.take(&mut input), Ok(true));
        assert!(body.take_piece().is_empty());
        let trailers = body.take_trailers();
        assert!(trailers.is_error());
        assert_eq!(trailers.error_type.as_deref(), Some("Oh.No"));
        assert_eq!(trailers.error_body.as_deref(), Some("e30="));
    }

    #[test]
    fn trailers_without_an_end_are_refused() {
        let mut input = BytesMut::from(&b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"[..]);
        let head = Head::take(&mut input).unwrap().unwrap();
        let mut body = Body::new(&head, 10);
        input.extend_from_slice(&b"A: b\r\n".repeat(MAX_TRAILERS));
        assert!(body.take(&mut input).is_err());
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Head::take(&mut BytesMut::from(&b"\x00\x01nonsense\r\n\r\n"[..])).is_err());
        let mut endless = BytesMut::from(&b"GET /"[..]);
        endless.resize(MAX_HEAD_BYTES + 10, b'a');
        assert!(Head::take(&mut endless).is_err());
        assert!(chunk_size(b"zz").is_err());
    }
}
