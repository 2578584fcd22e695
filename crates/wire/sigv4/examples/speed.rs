//! Prints what verifying costs, in nanoseconds for each request: `cargo run --release -p lambent-sigv4 --example speed`.
#![expect(clippy::unwrap_used, reason = "an example stops at the first surprise")]

use bytes::Bytes;
use http::Request;
use http::request::Parts;
use lambent_base::Clock;
use lambent_sigv4::{
    ChunkSigner, ChunkedDecoder, ServiceRules, Signer, SigningKey, SigningKeyCache, UNSIGNED_PAYLOAD,
    VerifyOptions, parse,
};
use std::hint::black_box;

const ROUNDS: u32 = 200_000;
const NOW_S: i64 = 1_700_000_000;
const CHUNK_BYTES: usize = 64 * 1024;
const CHUNKS: usize = 2000;
const SIGNER: Signer<'_> = Signer {
    access_key_id: "AKIAIOSFODNN7EXAMPLE",
    secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    session_token: None,
    region: "us-east-1",
    service: "s3",
    rules: ServiceRules::S3,
    now_unix_s: NOW_S,
};

fn get() -> Parts {
    let request = Request::get("/bucket/folder/photo.jpg?x-id=GetObject")
        .header("host", "127.0.0.1:4566")
        .header("user-agent", "Boto3/1.40 md/Botocore#1.40 ua/2.1 os/linux lang/python#3.13")
        .header("amz-sdk-invocation-id", "8d5f8a7e-6a7c-4a07-9c43-6f3a3d1e0c8b")
        .header("amz-sdk-request", "attempt=1")
        .header("accept-encoding", "identity");
    request.body(()).unwrap().into_parts().0
}

fn measure(what: &str, clock: &Clock, parts: &Parts) {
    let cache = SigningKeyCache::default();
    let options = VerifyOptions {
        rules: ServiceRules::S3,
        service: "s3",
        region: Some("us-east-1"),
        body_sha256: None,
    };
    let before = clock.monotonic();
    for _ in 0..ROUNDS {
        let parts = black_box(parts);
        let signed = parse(parts).unwrap().unwrap();
        let key = cache.find(&signed, SIGNER.secret).unwrap_or_else(|| {
            let key = SigningKey::of(&signed, SIGNER.secret);
            cache.remember(&signed, SIGNER.secret, &key);
            key
        });
        black_box(signed.verify(parts, &key, NOW_S, &options).unwrap());
    }
    println!("{what}: {} ns", (clock.monotonic() - before).as_nanos() / u128::from(ROUNDS));
}

fn measure_chunks(clock: &Clock) {
    let signed = SIGNER.sign(&mut get(), "STREAMING-AWS4-HMAC-SHA256-PAYLOAD").unwrap();
    let mut signer = ChunkSigner::new(&signed);
    let data = vec![7; CHUNK_BYTES];
    let body: Vec<Bytes> = (0..CHUNKS).map(|_| Bytes::from(signer.chunk(&data))).collect();
    let end = Bytes::from(signer.end(&[]));
    let mut decoder = ChunkedDecoder::new(&signed, (CHUNKS * CHUNK_BYTES) as u64, Vec::new());
    let before = clock.monotonic();
    for piece in body {
        black_box(decoder.feed(piece).unwrap());
    }
    decoder.feed(end).unwrap();
    decoder.finish().unwrap();
    let spent = clock.monotonic() - before;
    println!("signed chunks: {:.0} MB/s", (CHUNKS * CHUNK_BYTES) as f64 / 1e6 / spent.as_secs_f64());
}

fn main() {
    let clock = Clock::system();
    let mut signed = get();
    SIGNER.sign(&mut signed, UNSIGNED_PAYLOAD).unwrap();
    measure("header", &clock, &signed);
    let mut presigned = get();
    SIGNER.presign(&mut presigned, 3600, UNSIGNED_PAYLOAD).unwrap();
    measure("presigned", &clock, &presigned);
    measure_chunks(&clock);
}
