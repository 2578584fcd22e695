//! A Lambda runtime in Rust's standard library alone, for functions of the `provided` kind.
//!
//! It answers `{"say": "word"}` with the word in capitals and what the Runtime API said of the invocation, and
//! reports an error for `{"fail": true}`. One source file, so that a test can build it with `rustc`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

fn main() {
    let api = std::env::var("AWS_LAMBDA_RUNTIME_API").expect("Lambda names its API");
    println!("bootstrap of {} in {}", variable("_HANDLER"), variable("LAMBDA_TASK_ROOT"));
    loop {
        let (headers, event) = call(&api, "GET", "next", "");
        let header =
            |name: &str| headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
        let request = header("lambda-runtime-aws-request-id");
        println!("handling {request}");
        if event.contains("\"fail\"") {
            let error = r#"{"errorMessage": "asked to", "errorType": "Asked", "stackTrace": []}"#;
            call(&api, "POST", &format!("{request}/error"), error);
            continue;
        }
        let word = event.split('"').nth(3).unwrap_or_default().to_uppercase();
        let answer = format!(
            r#"{{"said": "{word}", "deadline": {}, "arn": "{}", "trace": "{}"}}"#,
            header("lambda-runtime-deadline-ms"),
            header("lambda-runtime-invoked-function-arn"),
            header("lambda-runtime-trace-id"),
        );
        call(&api, "POST", &format!("{request}/response"), &answer);
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// One request of the Runtime API; the answer's headers (names in lower case) and its body.
fn call(api: &str, method: &str, path: &str, body: &str) -> (Vec<(String, String)>, String) {
    let mut stream = TcpStream::connect(api).expect("the Runtime API listens");
    let length = body.len();
    write!(
        stream,
        "{method} /2018-06-01/runtime/invocation/{path} HTTP/1.1\r\nHost: {api}\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .expect("the request is sent");
    let mut reader = BufReader::new(stream);
    let mut headers = Vec::new();
    let mut line = String::new();
    while reader.read_line(&mut line).expect("the head can be read") > 2 {
        if let Some((name, value)) = line.trim().split_once(": ") {
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        line.clear();
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").map(|(_, value)| value.parse());
    let mut body = vec![0; length.and_then(Result::ok).unwrap_or(0)];
    reader.read_exact(&mut body).expect("the body is whole");
    (headers, String::from_utf8(body).expect("the body is UTF-8"))
}
