//! From the bytes that a function prints to log events: lines, or whole messages that a runtime framed.

/// The largest log event. Source: Amazon CloudWatch Logs User Guide, "CloudWatch Logs quotas" (256 KB, less overhead).
const MAX_EVENT_BYTES: usize = 256 * 1024 - 26;
/// A frame: mark, length and microseconds, then the message. These bytes are not UTF-8, so no text holds them. Runtimes
/// learn the descriptor from `_LAMBDA_TELEMETRY_LOG_FD`; the last byte tells whether lines of the message have levels.
const FRAME_MARK: [u8; 3] = [0xa5, 0x5a, 0x00];
const FRAME_HEAD_BYTES: usize = 16;

/// Splits a stream into messages. Holds at most one unfinished message.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    rest: Vec<u8>,
}

impl Splitter {
    /// Hands each whole message of the stream so far to `each`; text that is not UTF-8 is replaced as usual.
    pub(crate) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(String)) {
        self.rest.extend_from_slice(bytes);
        let mut at = 0;
        while let Some((start, end, next)) = next_message(&self.rest[at..]) {
            each(text(&self.rest[at + start..at + end]));
            at += next;
        }
        self.rest.drain(..at);
    }

    /// What remains when nothing more will come.
    pub(crate) fn finish(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.rest);
        (!rest.is_empty()).then(|| text(&rest))
    }
}

/// (where the first message starts, where it ends, where the next begins)
fn next_message(bytes: &[u8]) -> Option<(usize, usize, usize)> {
    if bytes.starts_with(&FRAME_MARK) {
        if bytes.len() < FRAME_HEAD_BYTES {
            return None;
        }
        let length = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(MAX_EVENT_BYTES);
        let end = FRAME_HEAD_BYTES + length;
        return (bytes.len() >= end).then_some((FRAME_HEAD_BYTES, end, end));
    }
    let stop = bytes.iter().position(|byte| matches!(byte, b'\n' | 0xa5));
    match stop {
        // A frame that follows text without a line end.
        Some(at) if at > 0 && bytes[at..].starts_with(&FRAME_MARK) => Some((0, at, at)),
        Some(_) => {
            let end = bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            let end = end.filter(|end| *end <= MAX_EVENT_BYTES);
            end.or_else(|| full(bytes)).map(|end| (0, end, end))
        }
        None => full(bytes).map(|end| (0, end, end)),
    }
}

fn full(bytes: &[u8]) -> Option<usize> {
    (bytes.len() >= MAX_EVENT_BYTES).then_some(MAX_EVENT_BYTES)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(parts: &[&[u8]]) -> Vec<String> {
        let mut splitter = Splitter::default();
        let mut found = Vec::new();
        for part in parts {
            splitter.push(part, |message| found.push(message));
        }
        found.extend(splitter.finish());
        found
    }

    fn frame(message: &str) -> Vec<u8> {
        let mut bytes = vec![0xa5, 0x5a, 0x00, 0x03];
        bytes.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(message.as_bytes());
        bytes
    }

    #[test]
    fn lines_and_frames_keep_their_order_however_they_are_cut() {
        let mut stream = b"one\nno end".to_vec();
        stream.extend(frame("[ERROR] a\n b"));
        stream.extend(b"last");
        for cut in 0..stream.len() {
            let found = split(&[&stream[..cut], &stream[cut..]]);
            assert_eq!(found.concat(), "one\nno end[ERROR] a\n blast", "cut at {cut}");
            assert!(found.contains(&"[ERROR] a\n b".to_owned()), "cut at {cut}: {found:?}");
        }
    }

    #[test]
    fn a_line_without_end_is_cut_and_memory_stays_bounded() {
        let mut splitter = Splitter::default();
        let mut longest = 0;
        for _ in 0..100 {
            splitter.push(&[b'x'; 64 * 1024], |message| longest = longest.max(message.len()));
            assert!(splitter.rest.len() < MAX_EVENT_BYTES);
        }
        assert_eq!(longest, MAX_EVENT_BYTES);
    }

    #[test]
    fn bytes_that_are_not_text_are_replaced() {
        assert_eq!(split(&[b"a\xff\xa5b\n"]), ["a\u{fffd}\u{fffd}b\n"]);
    }
}
