//! Requests of any form: reading and verifying their signature never panics, and never accepts what nobody signed.
#![no_main]

use bytes::Bytes;
use http::Request;
use http::request::Parts;
use lambent_sigv4::{PayloadReader, PresignedV2, ServiceRules, SigningKey, VerifyOptions, parse, sha256};
use libfuzzer_sys::fuzz_target;

/// Nobody signs with it.
const SECRET: &str = "not the secret of any seed";
/// Of the seeds: 2015-08-30, 12:36:00.
const NOW_S: i64 = 1_440_938_160;
/// Bodies come in pieces of this length.
const PIECE_BYTES: usize = 61;

fuzz_target!(|input: &[u8]| {
    let Some((parts, body)) = request(input) else { return };
    if let Ok(Some(presigned)) = PresignedV2::parse(&parts) {
        assert!(presigned.verify(&parts, Some("bucket"), SECRET, NOW_S).is_err());
    }
    let Ok(Some(signed)) = parse(&parts) else { return };
    let key = SigningKey::of(&signed, SECRET);
    for rules in [ServiceRules::S3, ServiceRules::OTHER] {
        let options =
            VerifyOptions { rules, service: signed.service(), region: None, body_sha256: Some(sha256(body)) };
        if let Ok(verified) = signed.verify(&parts, &key, NOW_S, &options) {
            // Only these words could stand for a signature that was never made.
            panic!("{} was accepted as {verified:?}", String::from_utf8_lossy(input));
        }
        let verified = lambent_sigv4::Verified {
            payload: signed.payload().unwrap_or(lambent_sigv4::PayloadKind::Unsigned),
            seed_signature: "0".repeat(64),
            signing_key: key.clone(),
            scope: signed.scope().to_owned(),
            signed_at: signed.signed_at(),
        };
        let Ok(mut reader) = PayloadReader::new(&verified, &parts.headers) else { continue };
        let read = body.chunks(PIECE_BYTES).try_for_each(|piece| reader.feed(Bytes::copy_from_slice(piece)).map(drop));
        if read.is_ok() {
            let _ = reader.finish();
        }
    }
});

/// A request as it comes over the wire, read as leniently as one can.
fn request(input: &[u8]) -> Option<(Parts, &[u8])> {
    let end = input.windows(2).position(|two| two == b"\n\n").unwrap_or(input.len());
    let (head, body) = (&input[..end], input.get(end + 2..).unwrap_or_default());
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let mut words = lines.next()?.splitn(3, |byte| *byte == b' ');
    let mut request = Request::builder().method(words.next()?).uri(words.next()?);
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        request = request.header(&line[..colon], line[colon + 1..].trim_ascii());
    }
    Some((request.body(()).ok()?.into_parts().0, body))
}
