//! A keep-alive HTTP/1.1 connection that costs as little as one can: prepared bytes out, a minimal parser for answers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};

const BUFFER_BYTES: usize = 256 * 1024;
/// How much of an answer's body is kept, unless more is asked for.
const KEPT_BYTES_MAX: usize = 1024 * 1024;
/// Longer than anything that is measured takes.
const TIMEOUT: Duration = Duration::from_secs(120);

/// One connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// The part of the buffer that was read and not yet used.
    filled: usize,
    kept_bytes_max: usize,
    /// The answer to come has a length but no body.
    asked_for_head: bool,
    /// The server has said that its last answer is the last.
    ends: bool,
}

/// The connection ended before a byte of the answer had come: what was asked for may have been done or not.
#[derive(Debug)]
pub struct Unanswered(&'static str);

impl std::fmt::Display for Unanswered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the server closed the connection before it had answered: {}", self.0)
    }
}

impl std::error::Error for Unanswered {}

/// An answer whose body was read to its end.
#[derive(Debug, Default)]
pub struct Answer {
    pub status: u16,
    /// Status line and headers, as they came.
    pub head: Vec<u8>,
    /// Bytes of the body.
    pub length: u64,
    /// The first of them.
    pub body: Vec<u8>,
}

impl Answer {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The value of a header, whose name may be in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let head = std::str::from_utf8(&self.head).ok()?;
        header(head, name)
    }

    /// The answer as a message, for errors.
    pub fn text(&self) -> String {
        format!("status {}: {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

impl Connection {
    /// A connection whose answers' bodies are kept up to 1 MiB; the rest of them is counted and dropped.
    pub fn open(address: SocketAddr) -> anyhow::Result<Self> {
        Self::keeping(address, KEPT_BYTES_MAX)
    }

    /// A connection that keeps that many bytes of an answer's body.
    pub fn keeping(address: SocketAddr, kept_bytes_max: usize) -> anyhow::Result<Self> {
        let stream =
            TcpStream::connect(address).with_context(|| format!("could not connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let buffer = vec![0; BUFFER_BYTES];
        Ok(Self { stream, buffer, filled: 0, kept_bytes_max, asked_for_head: false, ends: false })
    }

    /// Whether the server has announced that it answers no more on this connection.
    pub fn has_ended(&self) -> bool {
        self.ends
    }

    /// Sends a request, or a part of one.
    pub fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.asked_for_head |= bytes.starts_with(b"HEAD ");
        match self.stream.write_all(bytes) {
            Err(error) if is_closed(&error) => bail!(Unanswered("the request could not be sent")),
            sent => sent.context("could not send the request"),
        }
    }

    /// Reads one answer into `answer`, whose memory is used again.
    pub fn receive(&mut self, answer: &mut Answer) -> anyhow::Result<()> {
        let head = loop {
            if let Some(end) = self.buffer[..self.filled].windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            let room = &mut self.buffer[self.filled..];
            if room.is_empty() {
                bail!("the answer's head has more than {BUFFER_BYTES} bytes");
            }
            match self.stream.read(room) {
                Ok(0) if self.filled == 0 => bail!(Unanswered("it ended")),
                Err(error) if self.filled == 0 && is_closed(&error) => bail!(Unanswered("it was reset")),
                Ok(0) => bail!("the server closed the connection within the head of its answer"),
                Ok(read) => self.filled += read,
                Err(error) => return Err(error).context("could not read the answer"),
            }
        };
        answer.head.clear();
        answer.head.extend_from_slice(&self.buffer[..head]);
        self.ends = answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let has_body = !std::mem::take(&mut self.asked_for_head);
        (answer.status, answer.length) = parse(&self.buffer[..head], has_body)?;
        answer.body.clear();
        let mut left = answer.length;
        let mut start = head;
        loop {
            let here = usize::try_from(left).unwrap_or(usize::MAX).min(self.filled - start);
            let keep = here.min(self.kept_bytes_max.saturating_sub(answer.body.len()));
            answer.body.extend_from_slice(&self.buffer[start..start + keep]);
            left -= here as u64;
            start += here;
            if left == 0 {
                break;
            }
            start = 0;
            self.filled = self.stream.read(&mut self.buffer).context("could not read the answer's body")?;
            if self.filled == 0 {
                bail!("the server closed the connection {left} bytes before the end of its answer");
            }
        }
        self.buffer.copy_within(start..self.filled, 0);
        self.filled -= start;
        Ok(())
    }

    /// Sends a request and gives the answer.
    pub fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Answer> {
        let mut answer = Answer::default();
        self.send(request)?;
        self.receive(&mut answer)?;
        Ok(answer)
    }
}

fn is_closed(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}

/// Status and length of the body; the answer to HEAD has none, whatever length it names.
fn parse(head: &[u8], has_body: bool) -> anyhow::Result<(u16, u64)> {
    let text = std::str::from_utf8(head).context("the answer's head is not text")?;
    let status_line = text.split("\r\n").next().unwrap_or_default();
    let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status: u16 = status.with_context(|| format!("`{status_line}` has no status"))?;
    if !has_body {
        return Ok((status, 0));
    }
    match header(text, "content-length").and_then(|length| length.parse().ok()) {
        Some(length) => Ok((status, length)),
        None if status == 204 => Ok((status, 0)),
        None => bail!("an answer with status {status} has no Content-Length"),
    }
}

fn header<'a>(head: &'a str, wanted: &str) -> Option<&'a str> {
    head.split("\r\n").skip(1).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(wanted).then_some(value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_gives_status_and_length() {
        let head = b"HTTP/1.1 404 Not Found\r\ndate: now\r\nContent-Length: 12\r\n\r\n";
        assert_eq!(parse(head, true).unwrap(), (404, 12));
        assert_eq!(parse(head, false).unwrap(), (404, 0));
        assert_eq!(parse(b"HTTP/1.1 204 No Content\r\n\r\n", true).unwrap(), (204, 0));
        assert!(parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", true).is_err());
    }
}
