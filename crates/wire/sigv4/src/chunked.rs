//! The `aws-chunked` body encoding: `size;chunk-signature=...`, data, and so on, then trailers.

use crate::{AmzDate, ChunkError, Sha256, SigningKey, Verified, sha256};
use bytes::Bytes;
use http::HeaderMap;
use lambent_base::text::{equal_in_constant_time, hex};

/// The longest line of a chunked body, in bytes: a chunk's size and signature, or a trailer.
const MAX_LINE_BYTES: usize = 1024;
/// The smallest size of a chunk that is not the last, in bytes (Amazon S3 user guide).
const MIN_CHUNK_BYTES: u64 = 8 * 1024;
/// The largest chunk, in bytes: the largest part or single upload of S3, 5 GiB.
const MAX_CHUNK_BYTES: u64 = 5 * 1024 * 1024 * 1024;
/// How many trailers a body may have. AWS's clients send one checksum.
const MAX_TRAILERS: usize = 8;
/// Hexadecimal digits of a chunk's size, enough for every u64.
const MAX_SIZE_DIGITS: usize = 16;

const SIGNATURE_EXTENSION: &str = "chunk-signature=";
const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature";

/// Name in lower case and value, in the order in which they came.
pub type Trailers = Vec<(String, String)>;

/// Decodes an `aws-chunked` body piece by piece. Holds no more than one line, whatever the sizes of chunks.
#[derive(Debug)]
pub struct ChunkedDecoder {
    /// `None` when the chunks are not signed.
    chain: Option<Chain>,
    has_trailers: bool,
    announced: Vec<String>,
    expected: u64,
    found: u64,
    /// Of the current chunk, counted from 1.
    index: u64,
    /// Size of the chunk before, to find small ones that are not the last.
    size_before: Option<u64>,
    line: Vec<u8>,
    trailers: Trailers,
    trailer_signature: Option<String>,
    state: State,
}

#[derive(Debug)]
enum State {
    Header,
    Data { left: u64, check: Option<(Sha256, String)> },
    DataEnd { line_feed: bool },
    Trailers,
    Done,
    Refused,
}

impl ChunkedDecoder {
    /// For a request that was verified and whose payload kind is chunked. `announced` are the names in
    /// `x-amz-trailer`, `decoded_length` is the number of data bytes in `x-amz-decoded-content-length`.
    pub fn new(verified: &Verified, decoded_length: u64, announced: Vec<String>) -> Self {
        let chain = verified.payload.signs_chunks().then(|| Chain::new(verified));
        Self::with(chain, verified.payload.has_trailers(), decoded_length, announced)
    }

    fn with(chain: Option<Chain>, has_trailers: bool, decoded_length: u64, announced: Vec<String>) -> Self {
        Self {
            chain,
            has_trailers,
            announced,
            expected: decoded_length,
            found: 0,
            index: 1,
            size_before: None,
            line: Vec::new(),
            trailers: Vec::new(),
            trailer_signature: None,
            state: State::Header,
        }
    }

    /// Like [`Self::new`], with length and trailers' names from the request's headers.
    pub fn from_headers(verified: &Verified, headers: &HeaderMap) -> Result<Self, ChunkError> {
        let (decoded_length, announced) = announcement(headers)?;
        Ok(Self::new(verified, decoded_length, announced))
    }

    /// For chunks that nobody signed, with length and trailers' names from the request's headers.
    pub(crate) fn unsigned(headers: &HeaderMap) -> Result<Self, ChunkError> {
        let (decoded_length, announced) = announcement(headers)?;
        Ok(Self::with(None, true, decoded_length, announced))
    }

    /// Takes the next piece of the body as it came and gives the data in it, as slices of the input. A chunk's
    /// data is given out before its signature, which covers its end, can be known: publish nothing before
    /// [`Self::finish`] was Ok. After an error every call fails.
    pub fn feed(&mut self, mut input: Bytes) -> Result<Vec<Bytes>, ChunkError> {
        let mut data = Vec::new();
        while !input.is_empty() {
            if let Err(error) = self.step(&mut input, &mut data) {
                self.state = State::Refused;
                return Err(error);
            }
        }
        Ok(data)
    }

    /// To be called at the end of the body: checks that it is whole and gives the trailers.
    pub fn finish(self) -> Result<Trailers, ChunkError> {
        match self.state {
            State::Done => Ok(self.trailers),
            State::Refused => Err(ChunkError::AlreadyRefused),
            _ => Err(ChunkError::Incomplete { found: self.found, expected: self.expected }),
        }
    }

    fn step(&mut self, input: &mut Bytes, data: &mut Vec<Bytes>) -> Result<(), ChunkError> {
        match &mut self.state {
            State::Header => match self.take_line(input)? {
                Some(line) => self.begin_chunk(&line),
                None => Ok(()),
            },
            State::Data { left, check } => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                let piece = input.split_to(here);
                if let Some((hasher, _)) = check {
                    hasher.update(&piece);
                }
                data.push(piece);
                *left -= here as u64;
                if *left > 0 { Ok(()) } else { self.end_chunk() }
            }
            State::DataEnd { line_feed } => {
                let wanted = if *line_feed { b'\n' } else { b'\r' };
                if input.split_to(1)[0] != wanted {
                    return Err(ChunkError::NoLineEnd { index: self.index });
                }
                if *line_feed {
                    self.index += 1;
                    self.state = State::Header;
                } else {
                    *line_feed = true;
                }
                Ok(())
            }
            State::Trailers => match self.take_line(input)? {
                Some(line) if line.is_empty() => self.end_trailers(),
                Some(line) => self.trailer(&line),
                None => Ok(()),
            },
            State::Done => Err(ChunkError::BytesAfterEnd),
            State::Refused => Err(ChunkError::AlreadyRefused),
        }
    }

    /// Takes bytes up to a line's end; `None` when the end has not come yet.
    fn take_line(&mut self, input: &mut Bytes) -> Result<Option<String>, ChunkError> {
        let end = input.iter().position(|byte| *byte == b'\n');
        let taken = input.split_to(end.map_or(input.len(), |at| at + 1));
        if self.line.len() + taken.len() > MAX_LINE_BYTES {
            return Err(ChunkError::LineTooLong { limit: MAX_LINE_BYTES });
        }
        self.line.extend_from_slice(&taken);
        if end.is_none() {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        match line.strip_suffix("\r\n") {
            Some(text) if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) => Ok(Some(text.into())),
            _ if matches!(self.state, State::Trailers) => Err(ChunkError::TrailerMalformed { found: line }),
            _ => Err(self.malformed_header(&line)),
        }
    }

    fn malformed_header(&self, line: &str) -> ChunkError {
        ChunkError::HeaderMalformed { found: line.into(), signed: self.chain.is_some() }
    }

    fn begin_chunk(&mut self, line: &str) -> Result<(), ChunkError> {
        let (digits, signature) = match (line.split_once(';'), &self.chain) {
            (Some((digits, extension)), Some(_)) => {
                let signature = extension.strip_prefix(SIGNATURE_EXTENSION);
                (digits, Some(signature.ok_or_else(|| self.malformed_header(line))?.to_owned()))
            }
            (None, None) => (line, None),
            _ => return Err(self.malformed_header(line)),
        };
        let is_number =
            digits.len() <= MAX_SIZE_DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = is_number.then(|| u64::from_str_radix(digits, 16).ok()).flatten();
        let size = size.ok_or_else(|| self.malformed_header(line))?;
        self.check_size(size)?;
        let check = signature.map(|signature| (Sha256::new(), signature));
        self.state = State::Data { left: size, check };
        if size == 0 { self.end_chunk() } else { Ok(()) }
    }

    fn check_size(&mut self, size: u64) -> Result<(), ChunkError> {
        if size > MAX_CHUNK_BYTES {
            return Err(ChunkError::ChunkTooLarge { found: size, limit: MAX_CHUNK_BYTES });
        }
        self.found += size;
        if self.found > self.expected {
            return Err(ChunkError::TooLong { expected: self.expected });
        }
        if size == 0 && self.found < self.expected {
            return Err(ChunkError::Incomplete { found: self.found, expected: self.expected });
        }
        match self.size_before.replace(size) {
            Some(before) if size > 0 && before < MIN_CHUNK_BYTES => Err(ChunkError::ChunkTooSmall {
                index: self.index - 1,
                found: before,
                limit: MIN_CHUNK_BYTES,
            }),
            _ => Ok(()),
        }
    }

    fn end_chunk(&mut self) -> Result<(), ChunkError> {
        let is_last = self.size_before == Some(0);
        let next = if is_last { State::Trailers } else { State::DataEnd { line_feed: false } };
        let ended = std::mem::replace(&mut self.state, next);
        if let (State::Data { check: Some((hasher, claimed)), .. }, Some(chain)) = (ended, &mut self.chain) {
            let computed = chain.chunk(hasher.finish());
            if !equal_in_constant_time(computed.as_bytes(), claimed.as_bytes()) {
                return Err(ChunkError::ChunkSignature { index: self.index });
            }
        }
        Ok(())
    }

    fn trailer(&mut self, line: &str) -> Result<(), ChunkError> {
        let malformed = || ChunkError::TrailerMalformed { found: line.into() };
        let (name, value) = line.split_once(':').ok_or_else(malformed)?;
        let (name, value) = (name.to_ascii_lowercase(), value.trim());
        if name == TRAILER_SIGNATURE && self.chain.is_some() && self.trailer_signature.is_none() {
            self.trailer_signature = Some(value.into());
            return Ok(());
        }
        let is_known = self.announced.contains(&name) && !self.trailers.iter().any(|(seen, _)| *seen == name);
        if !self.has_trailers || !is_known || self.trailer_signature.is_some() {
            return Err(ChunkError::TrailerUnexpected { name });
        }
        if self.trailers.len() == MAX_TRAILERS {
            return Err(ChunkError::TooManyTrailers { limit: MAX_TRAILERS });
        }
        self.trailers.push((name, value.into()));
        Ok(())
    }

    fn end_trailers(&mut self) -> Result<(), ChunkError> {
        let missing = self.announced.iter().find(|name| !self.trailers.iter().any(|(seen, _)| seen == *name));
        if let Some(name) = missing.filter(|_| self.has_trailers) {
            return Err(ChunkError::TrailerMissing { name: name.clone() });
        }
        if let (Some(chain), true) = (&mut self.chain, self.has_trailers) {
            let computed = chain.trailers(&self.trailers);
            let claimed = self.trailer_signature.take().unwrap_or_default();
            if !equal_in_constant_time(computed.as_bytes(), claimed.as_bytes()) {
                return Err(ChunkError::TrailerSignature);
            }
        } else if self.trailer_signature.is_some() {
            return Err(ChunkError::TrailerUnexpected { name: TRAILER_SIGNATURE.into() });
        }
        self.state = State::Done;
        Ok(())
    }
}

/// What `x-amz-decoded-content-length` and `x-amz-trailer` say: data bytes, and names in lower case.
fn announcement(headers: &HeaderMap) -> Result<(u64, Vec<String>), ChunkError> {
    let text =
        headers.get("x-amz-decoded-content-length").map(|value| String::from_utf8_lossy(value.as_bytes()));
    let digits = text.as_deref().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let Some(decoded_length) = digits.and_then(|digits| digits.parse().ok()) else {
        return Err(ChunkError::DecodedLength { found: text.map(Into::into) });
    };
    let values = headers.get_all("x-amz-trailer").iter().filter_map(|value| value.to_str().ok());
    let names = values.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase());
    Ok((decoded_length, names.filter(|name| !name.is_empty()).collect()))
}

/// Writes an `aws-chunked` body: the other side of [`ChunkedDecoder`].
#[derive(Debug)]
pub struct ChunkSigner {
    chain: Option<Chain>,
    has_trailers: bool,
}

impl ChunkSigner {
    /// Continues the signature that [`crate::Signer::sign`] gave for the request.
    pub fn new(signed: &Verified) -> Self {
        let payload = signed.payload;
        Self {
            chain: payload.signs_chunks().then(|| Chain::new(signed)),
            has_trailers: payload.has_trailers(),
        }
    }

    /// One chunk. It must not be empty: the empty chunk is the end.
    pub fn chunk(&mut self, data: &[u8]) -> Vec<u8> {
        let mut out = self.header(data).into_bytes();
        out.extend_from_slice(data);
        out.extend_from_slice(b"\r\n");
        out
    }

    /// The empty chunk and the trailers, if this kind of body has them.
    pub fn end(mut self, trailers: &[(String, String)]) -> Vec<u8> {
        let mut out = self.header(b"");
        if self.has_trailers {
            for (name, value) in trailers {
                out.push_str(&format!("{name}:{value}\r\n"));
            }
            if let Some(chain) = &mut self.chain {
                out.push_str(&format!("{TRAILER_SIGNATURE}:{}\r\n", chain.trailers(trailers)));
            }
        }
        out.push_str("\r\n");
        out.into_bytes()
    }

    fn header(&mut self, data: &[u8]) -> String {
        match &mut self.chain {
            Some(chain) => format!("{:x};{SIGNATURE_EXTENSION}{}\r\n", data.len(), chain.chunk(sha256(data))),
            None => format!("{:x}\r\n", data.len()),
        }
    }
}

/// Signatures of which each covers the one before.
#[derive(Debug)]
struct Chain {
    key: SigningKey,
    signed_at: AmzDate,
    scope: String,
    previous: String,
}

impl Chain {
    fn new(seed: &Verified) -> Self {
        Self {
            key: seed.signing_key.clone(),
            signed_at: seed.signed_at,
            scope: seed.scope.clone(),
            previous: seed.seed_signature.clone(),
        }
    }

    fn chunk(&mut self, data_sha256: [u8; 32]) -> String {
        self.next("AWS4-HMAC-SHA256-PAYLOAD", &format!("{}\n{}", hex(&sha256(b"")), hex(&data_sha256)))
    }

    fn trailers(&mut self, trailers: &[(String, String)]) -> String {
        let lines: String = trailers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        self.next("AWS4-HMAC-SHA256-TRAILER", &hex(&sha256(lines.as_bytes())))
    }

    fn next(&mut self, kind: &str, hashes: &str) -> String {
        let (date, scope, previous) = (self.signed_at.as_str(), &self.scope, &self.previous);
        let text = format!("{kind}\n{date}\n{scope}\n{previous}\n{hashes}");
        self.previous = hex(&self.key.hmac(text.as_bytes()));
        self.previous.clone()
    }
}
