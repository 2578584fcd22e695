//! What functions may ask the host's resolvers: single questions. Updates, notifications and whole zones, which a resolver
//! may grant to its own host, are not theirs to have.

use crate::limits::MAX_QUESTION_BYTES;

const HEADER_BYTES: usize = 12;
/// Before each message on a TCP connection. Source: RFC 1035, 4.2.2.
const LENGTH_BYTES: usize = 2;
/// IXFR and AXFR. Source: IANA, "Domain Name System (DNS) Parameters", Resource Record (RR) TYPEs.
const TRANSFERS: [u16; 2] = [251, 252];

/// Whether a message is a plain question, and only one.
pub(crate) fn is_question(message: &[u8]) -> bool {
    // Neither an answer (the first bit) nor an operation but QUERY (the four after it).
    let is_query = message.len() >= HEADER_BYTES && message[2] & 0b1111_1000 == 0 && message[4..6] == [0, 1];
    is_query && type_asked(&message[HEADER_BYTES..]).is_some_and(|kind| !TRANSFERS.contains(&kind))
}

/// The type that the first question is for, behind its name, in which nothing can be abbreviated yet.
fn type_asked(question: &[u8]) -> Option<u16> {
    let mut rest = question;
    loop {
        match rest {
            [0, high, low, _, _, ..] => return Some(u16::from_be_bytes([*high, *low])),
            [length @ 1..=63, after @ ..] => rest = after.get(usize::from(*length)..)?,
            _ => return None,
        }
    }
}

/// What a function says on a connection to a resolver, message by message.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    /// With its length before it; maybe not whole yet.
    message: Vec<u8>,
    /// How much of it, when it was whole and was allowed, has been passed on.
    passed: usize,
}

/// Something else than a question was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoQuestion;

impl Questions {
    /// Takes some of the bytes, at most to the end of a message; how many. None while there are bytes to be passed on.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<usize, NoQuestion> {
        let mut taken = 0;
        while taken < bytes.len() && self.missing()? > 0 {
            let more = self.missing()?.min(bytes.len() - taken);
            self.message.extend_from_slice(&bytes[taken..taken + more]);
            taken += more;
        }
        if self.missing()? == 0 && !is_question(&self.message[LENGTH_BYTES..]) {
            return Err(NoQuestion);
        }
        Ok(taken)
    }

    /// What is to be passed on: the rest of a whole message, or nothing.
    pub(crate) fn allowed(&self) -> &[u8] {
        if self.missing() == Ok(0) { &self.message[self.passed..] } else { &[] }
    }

    /// Notes that so many of those bytes were passed on.
    pub(crate) fn pass(&mut self, bytes: usize) {
        self.passed += bytes;
        if self.passed >= self.message.len() {
            *self = Self::default();
        }
    }

    /// Bytes that must come before more is known of the message; zero when it is whole.
    fn missing(&self) -> Result<usize, NoQuestion> {
        let Some(length) = self.message.first_chunk::<LENGTH_BYTES>() else {
            return Ok(LENGTH_BYTES - self.message.len());
        };
        let length = usize::from(u16::from_be_bytes(*length));
        if !(HEADER_BYTES..=MAX_QUESTION_BYTES).contains(&length) {
            return Err(NoQuestion);
        }
        Ok(LENGTH_BYTES + length - self.message.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A question for records of a type at `a.example.`.
    fn question(kind: u16) -> Vec<u8> {
        let mut message = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x07example\x00".to_vec();
        message.extend(kind.to_be_bytes());
        message.extend([0, 1]);
        message
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        [&u16::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
    }

    #[test]
    fn only_questions_pass() {
        for kind in [1, 16, 28, 65, 255] {
            assert!(is_question(&question(kind)), "type {kind}");
        }
        let mut with_options = question(1);
        with_options.extend(b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00");
        with_options[11] = 1;
        assert!(is_question(&with_options));
        for kind in TRANSFERS {
            assert!(!is_question(&question(kind)), "type {kind}");
        }
        let changed = |at: usize, to: u8| {
            let mut message = question(1);
            message[at] = to;
            message
        };
        assert!(!is_question(&changed(2, 0b0010_1000)), "an update");
        assert!(!is_question(&changed(2, 0b0010_0000)), "a notification");
        assert!(!is_question(&changed(2, 0b1000_0000)), "an answer");
        assert!(!is_question(&changed(5, 0)), "no question");
        assert!(!is_question(&changed(5, 2)), "two questions");
        assert!(!is_question(&changed(12, 0xc0)), "an abbreviated name");
        for length in 0..question(1).len() {
            assert!(!is_question(&question(1)[..length]), "{length} bytes of one");
        }
    }

    #[test]
    fn messages_pass_only_when_they_are_whole() {
        let message = framed(&question(1));
        let mut questions = Questions::default();
        for byte in &message {
            assert_eq!(questions.allowed(), b"");
            assert_eq!(questions.take(&[*byte]), Ok(1));
        }
        assert_eq!(questions.allowed(), message);
        assert_eq!(questions.take(&message), Ok(0), "one after the other");
        questions.pass(5);
        assert_eq!(questions.allowed(), &message[5..]);
        questions.pass(message.len() - 5);
        assert_eq!(questions.allowed(), b"");
    }

    #[test]
    fn what_is_no_question_ends_it() {
        let two = [framed(&question(1)), framed(&question(252))].concat();
        let mut questions = Questions::default();
        let first = questions.take(&two).unwrap();
        assert_eq!(first, two.len() / 2);
        questions.pass(first);
        assert_eq!(questions.take(&two[first..]), Err(NoQuestion));
        let most = u16::try_from(MAX_QUESTION_BYTES).unwrap();
        assert_eq!(Questions::default().take(&most.to_be_bytes()), Ok(2));
        for length in [0, 11, most + 1, u16::MAX] {
            assert_eq!(Questions::default().take(&length.to_be_bytes()), Err(NoQuestion), "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn what_passes_was_asked(pieces: Vec<Vec<u8>>, asked in 0usize..4) {
            let mut said = framed(&question(1)).repeat(asked);
            said.extend(pieces.concat());
            let (mut questions, mut passed, mut at) = (Questions::default(), Vec::new(), 0);
            while at < said.len() {
                let Ok(taken) = questions.take(&said[at..]) else { break };
                at += taken;
                passed.extend_from_slice(questions.allowed());
                questions.pass(questions.allowed().len());
                prop_assert!(taken > 0);
            }
            prop_assert!(said.starts_with(&passed));
            prop_assert!(passed.len() >= framed(&question(1)).len() * asked);
        }
    }
}
