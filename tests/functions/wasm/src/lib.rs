//! Components for tests and measurements, written by hand: a few lines of WebAssembly each, joined to what they import.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const MEMORY: &str = r#"(memory (export "memory") 2)"#;

/// Functions that a guest of either world has: memory, and room in it for what the host hands over.
const COMMON: &str = r#"
  (memory (export "memory") 2)
  (global $next (mut i32) (i32.const 8192))
  (func $need (param $end i32)
    (local $pages i32)
    (local.set $pages (i32.sub
      (i32.shr_u (i32.add (local.get $end) (i32.const 65535)) (i32.const 16)) (memory.size)))
    (if (i32.gt_s (local.get $pages) (i32.const 0))
      (then (if (i32.eq (memory.grow (local.get $pages)) (i32.const -1)) (then (unreachable))))))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
    (global.set $next (i32.add (local.get $at) (local.get 3)))
    (call $need (global.get $next))
    (local.get $at))
"#;

/// Results of a guest that takes events: a text that lies at 1024, or what lies elsewhere.
const EVENT: &str = r#"
  (func $text (param $at i32) (param $length i32) (result i32)
    (i32.store8 (i32.const 16) (i32.const 0))
    (i32.store (i32.const 20) (local.get $at))
    (i32.store (i32.const 24) (local.get $length))
    (i32.const 16))
  (func $digits (param $number i32) (result i32)
    (local $at i32)
    (local.set $at (i32.const 1040))
    (loop $more
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.rem_u (local.get $number) (i32.const 10))))
      (br_if $more (local.tee $number (i32.div_u (local.get $number) (i32.const 10)))))
    (call $text (local.get $at) (i32.sub (i32.const 1040) (local.get $at))))
"#;

const HTTP_IMPORTS: &str = r#"
  (import "wasi:http/types@0.2.0" "[constructor]fields" (func $fields (result i32)))
  (import "wasi:http/types@0.2.0" "[method]fields.append" (func $append (param i32 i32 i32 i32 i32 i32)))
  (import "wasi:http/types@0.2.0" "[constructor]outgoing-response" (func $response (param i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-response.set-status-code" (func $status (param i32 i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-response.body" (func $body (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-body.write" (func $write (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[static]outgoing-body.finish" (func $finish (param i32 i32 i32 i32)))
  (import "wasi:http/types@0.2.0" "[static]response-outparam.set" (func $set (param i32 i32 i32 i32 i64 i32 i32 i32 i32)))
  (import "wasi:http/types@0.2.0" "[method]incoming-request.consume" (func $consume (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[method]incoming-body.stream" (func $stream (param i32 i32)))
  (import "wasi:io/streams@0.2.0" "[method]input-stream.blocking-read" (func $read (param i32 i64 i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush" (func $flush (param i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.0" "[resource-drop]output-stream" (func $drop-stream (param i32)))
"#;

/// Begins a response with the status on the stack, and leaves its stream.
const HTTP: &str = r#"
  (data (i32.const 512) "content-typetext/plaincontent-length12")
  (global $sized (mut i32) (i32.const 0))
  (global $outgoing (mut i32) (i32.const 0))
  (func $begin (param $out i32) (param $code i32) (result i32)
    (local $headers i32) (local $made i32)
    (local.set $headers (call $fields))
    (call $append (local.get $headers) (i32.const 512) (i32.const 12) (i32.const 524) (i32.const 10) (i32.const 64))
    (if (global.get $sized) (then (call $append
      (local.get $headers) (i32.const 534) (i32.const 14) (i32.const 548) (i32.const 2) (i32.const 64))))
    (local.set $made (call $response (local.get $headers)))
    (drop (call $status (local.get $made) (local.get $code)))
    (call $body (local.get $made) (i32.const 32))
    (global.set $outgoing (i32.load (i32.const 36)))
    (call $write (global.get $outgoing) (i32.const 40))
    (call $set (local.get $out) (i32.const 0) (local.get $made) (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0))
    (i32.load (i32.const 44)))
  (func $end (param $stream i32)
    (call $drop-stream (local.get $stream))
    (call $finish (global.get $outgoing) (i32.const 0) (i32.const 0) (i32.const 128)))
"#;

/// Names, and what each does on a request (`$in`, to be answered on `$out`).
const HTTP_GUESTS: [(&str, &str); 8] = [
    // It says how long its answer is, as simple clients want to know.
    (
        "http-sized",
        r#"(global.set $sized (i32.const 1))
           (local.set $s (call $begin (local.get $out) (i32.const 200)))
           (call $flush (local.get $s) (i32.const 1024) (i32.const 12) (i32.const 48))
           (call $end (local.get $s))"#,
    ),
    (
        "http-hello",
        r#"(local.set $s (call $begin (local.get $out) (i32.const 200)))
           (call $flush (local.get $s) (i32.const 1024) (i32.const 12) (i32.const 48))
           (call $end (local.get $s))"#,
    ),
    (
        "http-echo",
        r#"(call $consume (local.get $in) (i32.const 32))
           (call $stream (i32.load (i32.const 36)) (i32.const 40))
           (local.set $from (i32.load (i32.const 44)))
           (local.set $s (call $begin (local.get $out) (i32.const 200)))
           (block $whole (loop $more
             (global.set $next (i32.const 8192))
             (call $read (local.get $from) (i64.const 4096) (i32.const 64))
             (br_if $whole (i32.load8_u (i32.const 64)))
             (call $flush (local.get $s) (i32.load (i32.const 68)) (i32.load (i32.const 72)) (i32.const 48))
             (br $more)))
           (call $end (local.get $s))"#,
    ),
    (
        "http-busy",
        r#"(local.set $s (call $begin (local.get $out) (i32.const 503)))
           (call $flush (local.get $s) (i32.const 1024) (i32.const 5) (i32.const 48))
           (call $end (local.get $s))"#,
    ),
    ("http-unset", ""),
    ("http-unfinished", "(drop (call $begin (local.get $out) (i32.const 200)))"),
    ("http-loop", "(loop $ever (br $ever))"),
    (
        "http-flood",
        r#"(local.set $s (call $begin (local.get $out) (i32.const 200)))
           (loop $ever (call $flush (local.get $s) (i32.const 1024) (i32.const 4096) (i32.const 48)) (br $ever))"#,
    ),
];

/// Names, imports, and what each does with its event: `$p` is where the arguments lie.
const EVENT_GUESTS: [(&str, &str, &str); 20] = [
    ("event-echo", "", "(call $text (i32.load (local.get $p)) (i32.load offset=4 (local.get $p)))"),
    (
        "event-context",
        "",
        r#"(i32.store8 (i32.const 2048) (i32.const 34))
           (memory.copy (i32.const 2049) (i32.load offset=8 (local.get $p)) (i32.load offset=12 (local.get $p)))
           (i32.store8 (i32.add (i32.const 2049) (i32.load offset=12 (local.get $p))) (i32.const 34))
           (call $text (i32.const 2048) (i32.add (i32.const 2) (i32.load offset=12 (local.get $p))))"#,
    ),
    ("event-memory-size", "", "(call $digits (i32.load offset=40 (local.get $p)))"),
    (
        "event-fail",
        r#"(data (i32.const 600) "CustomErrorit failed")"#,
        r#"(i32.store8 (i32.const 16) (i32.const 1))
           (i32.store (i32.const 20) (i32.const 600)) (i32.store (i32.const 24) (i32.const 11))
           (i32.store (i32.const 28) (i32.const 611)) (i32.store (i32.const 32) (i32.const 9))
           (i32.const 16)"#,
    ),
    ("event-long", "", "(call $need (i32.const 9500000)) (call $text (i32.const 8192) (i32.const 9437184))"),
    ("event-trap", "", "(unreachable)"),
    ("event-loop", "", "(loop $ever (br $ever)) (unreachable)"),
    ("event-recursion", "", "(call $handle (local.get $p))"),
    (
        "event-grow",
        "",
        "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 64)) (i32.const -1)))) (unreachable)",
    ),
    (
        "event-grown",
        "",
        r#"(loop $more (br_if $more (i32.ne (memory.grow (i32.const 64)) (i32.const -1))))
           (call $digits (i32.shr_u (memory.size) (i32.const 4)))"#,
    ),
    ("event-large", "(memory (export \"memory\") 3000)", "(call $digits (i32.const 1))"),
    (
        "event-spin",
        "",
        r#"(local.set $n (i32.const 200000000))
           (loop $more (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
           (call $digits (i32.const 7))"#,
    ),
    (
        "event-count",
        "(global $count (mut i32) (i32.const 0))",
        r#"(global.set $count (i32.add (global.get $count) (i32.const 1))) (call $digits (global.get $count))"#,
    ),
    (
        "event-print",
        r#"(import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
           (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush" (func $flush (param i32 i32 i32 i32)))
           (data (i32.const 600) "first line\nsecond line\nrest")"#,
        r#"(call $flush (call $stdout) (i32.const 600) (i32.const 27) (i32.const 48)) (call $digits (i32.const 1))"#,
    ),
    (
        "event-print-much",
        r#"(import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
           (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush" (func $flush (param i32 i32 i32 i32)))
           (data (i32.const 600) "0123456789abcde\n")"#,
        r#"(local.set $n (i32.const 40000)) (local.set $s (call $stdout))
           (loop $more
             (call $flush (local.get $s) (i32.const 600) (i32.const 16) (i32.const 48))
             (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
           (call $digits (i32.const 1))"#,
    ),
    (
        "event-exit",
        r#"(import "wasi:cli/exit@0.2.0" "exit" (func $exit (param i32)))"#,
        "(call $exit (i32.const 1)) (unreachable)",
    ),
    (
        "event-sleep",
        r#"(import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $timer (param i64) (result i32)))
           (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))"#,
        "(call $block (call $timer (i64.const 3600000000000))) (unreachable)",
    ),
    (
        "event-variables",
        r#"(import "wasi:cli/environment@0.2.0" "get-environment" (func $variables (param i32)))"#,
        r#"(call $variables (i32.const 64)) (call $digits (i32.load (i32.const 68)))"#,
    ),
    (
        "event-socket",
        r#"(import "wasi:sockets/tcp-create-socket@0.2.0" "create-tcp-socket" (func $socket (param i32 i32)))"#,
        r#"(call $socket (i32.const 0) (i32.const 64))
           (call $digits (i32.add (i32.mul (i32.const 100) (i32.load8_u (i32.const 64))) (i32.load8_u (i32.const 68))))"#,
    ),
    (
        "event-foreign",
        r#"(import "foreign:house/door@1.0.0" "open" (func $open))"#,
        "(call $open) (call $digits (i32.const 1))",
    ),
];

/// Asks another host for something; the digits are 100 and the code of the error it gets.
const FETCH: (&str, &str, &str) = (
    "event-fetch",
    r#"(import "wasi:http/types@0.2.0" "[constructor]fields" (func $fields (result i32)))
       (import "wasi:http/types@0.2.0" "[constructor]outgoing-request" (func $request (param i32) (result i32)))
       (import "wasi:http/types@0.2.0" "[method]outgoing-request.set-authority" (func $authority (param i32 i32 i32 i32) (result i32)))
       (import "wasi:http/types@0.2.0" "[method]outgoing-request.set-path-with-query" (func $path (param i32 i32 i32 i32) (result i32)))
       (import "wasi:http/outgoing-handler@0.2.0" "handle" (func $send (param i32 i32 i32 i32)))
       (import "wasi:http/types@0.2.0" "[method]future-incoming-response.subscribe" (func $subscribe (param i32) (result i32)))
       (import "wasi:http/types@0.2.0" "[method]future-incoming-response.get" (func $get (param i32 i32)))
       (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
       (data (i32.const 600) "127.0.0.1:80/")"#,
    r#"(local.set $s (call $request (call $fields)))
       (drop (call $authority (local.get $s) (i32.const 1) (i32.const 600) (i32.const 12)))
       (drop (call $path (local.get $s) (i32.const 1) (i32.const 612) (i32.const 1)))
       (call $send (local.get $s) (i32.const 0) (i32.const 0) (i32.const 64))
       (if (i32.load8_u (i32.const 64)) (then (return (call $digits (i32.const 1)))))
       (local.set $s (i32.load (i32.const 72)))
       (call $block (call $subscribe (local.get $s)))
       (call $get (local.get $s) (i32.const 128))
       (call $digits (i32.add
         (i32.mul (i32.const 100) (i32.load8_u (i32.const 144)))
         (i32.load8_u (i32.const 152))))"#,
);

/// Makes a file in its `/tmp` that was not there, and writes 64 KiB to it until it must not; the digits are how often it did.
const TMP: (&str, &str, &str) = (
    "event-tmp",
    r#"(import "wasi:filesystem/preopens@0.2.0" "get-directories" (func $folders (param i32)))
       (import "wasi:filesystem/types@0.2.0" "[method]descriptor.open-at" (func $open (param i32 i32 i32 i32 i32 i32 i32)))
       (import "wasi:filesystem/types@0.2.0" "[method]descriptor.write" (func $write (param i32 i32 i32 i64 i32)))
       (data (i32.const 600) "file")"#,
    r#"(call $folders (i32.const 64))
       (call $open (i32.load (i32.load (i32.const 64))) (i32.const 0) (i32.const 600) (i32.const 4) (i32.const 5) (i32.const 2)
         (i32.const 72))
       (if (i32.load8_u (i32.const 72))
         (then (return (call $digits (i32.add (i32.const 1000) (i32.load8_u (i32.const 76)))))))
       (local.set $s (i32.load (i32.const 76)))
       (block $full (loop $more
         (call $write (local.get $s) (i32.const 0) (i32.const 65536)
           (i64.extend_i32_u (i32.mul (local.get $n) (i32.const 65536))) (i32.const 80))
         (br_if $full (i32.load8_u (i32.const 80)))
         (local.set $n (i32.add (local.get $n) (i32.const 1)))
         (br $more)))
       (call $digits (local.get $n))"#,
);

/// Makes folders in its `/tmp`, each in the last, until it must not, and moves one from the top to the bottom; the digits are how
/// many there are, and the number of the error that moving gave.
const DEEP: (&str, &str, &str) = (
    "event-deep",
    r#"(import "wasi:filesystem/preopens@0.2.0" "get-directories" (func $folders (param i32)))
       (import "wasi:filesystem/types@0.2.0" "[method]descriptor.open-at" (func $open (param i32 i32 i32 i32 i32 i32 i32)))
       (import "wasi:filesystem/types@0.2.0" "[method]descriptor.create-directory-at" (func $make (param i32 i32 i32 i32)))
       (import "wasi:filesystem/types@0.2.0" "[method]descriptor.rename-at" (func $move (param i32 i32 i32 i32 i32 i32 i32)))
       (data (i32.const 600) "downsideedge")"#,
    r#"(call $folders (i32.const 64))
       (local.set $p (i32.load (i32.load (i32.const 64))))
       (call $make (local.get $p) (i32.const 604) (i32.const 4) (i32.const 72))
       (call $move (local.get $p) (i32.const 604) (i32.const 4) (local.get $p) (i32.const 608) (i32.const 4) (i32.const 72))
       (if (i32.load8_u (i32.const 72)) (then (unreachable)))
       (local.set $s (local.get $p))
       (block $full (loop $more
         (call $make (local.get $s) (i32.const 600) (i32.const 4) (i32.const 72))
         (br_if $full (i32.load8_u (i32.const 72)))
         (local.set $n (i32.add (local.get $n) (i32.const 1)))
         (call $open (local.get $s) (i32.const 0) (i32.const 600) (i32.const 4) (i32.const 2) (i32.const 1) (i32.const 72))
         (local.set $s (i32.load (i32.const 76)))
         (br $more)))
       (call $move (local.get $p) (i32.const 608) (i32.const 4) (local.get $s) (i32.const 608) (i32.const 4) (i32.const 72))
       (call $digits (i32.add (i32.mul (local.get $n) (i32.const 100)) (i32.load8_u (i32.const 73))))"#,
);

/// Asks the host that its event names, by HTTP; the digits are the status of the answer, or 100 and the number of the error.
const GET: (&str, &str, &str) = (
    "event-get",
    r#"(import "wasi:http/types@0.2.0" "[constructor]fields" (func $fields (result i32)))
       (import "wasi:http/types@0.2.0" "[constructor]outgoing-request" (func $request (param i32) (result i32)))
       (import "wasi:http/types@0.2.0" "[method]outgoing-request.set-scheme" (func $scheme (param i32 i32 i32 i32 i32) (result i32)))
       (import "wasi:http/types@0.2.0" "[method]outgoing-request.set-authority" (func $authority (param i32 i32 i32 i32) (result i32)))
       (import "wasi:http/types@0.2.0" "[method]outgoing-request.set-path-with-query" (func $path (param i32 i32 i32 i32) (result i32)))
       (import "wasi:http/types@0.2.0" "[method]incoming-response.status" (func $status (param i32) (result i32)))
       (import "wasi:http/outgoing-handler@0.2.0" "handle" (func $send (param i32 i32 i32 i32)))
       (import "wasi:http/types@0.2.0" "[method]future-incoming-response.subscribe" (func $subscribe (param i32) (result i32)))
       (import "wasi:http/types@0.2.0" "[method]future-incoming-response.get" (func $get (param i32 i32)))
       (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
       (data (i32.const 600) "/")"#,
    r#"(local.set $s (call $request (call $fields)))
       (drop (call $scheme (local.get $s) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)))
       (drop (call $authority (local.get $s) (i32.const 1) (i32.load (local.get $p)) (i32.load offset=4 (local.get $p))))
       (drop (call $path (local.get $s) (i32.const 1) (i32.const 600) (i32.const 1)))
       (call $send (local.get $s) (i32.const 0) (i32.const 0) (i32.const 64))
       (if (i32.load8_u (i32.const 64)) (then (return (call $digits (i32.const 1)))))
       (local.set $s (i32.load (i32.const 72)))
       (call $block (call $subscribe (local.get $s)))
       (call $get (local.get $s) (i32.const 128))
       (if (i32.load8_u (i32.const 144))
         (then (return (call $digits (i32.add (i32.const 100) (i32.load8_u (i32.const 152)))))))
       (call $digits (call $status (i32.load (i32.const 152))))"#,
);

/// Keeps header fields of 1,000 bytes, seven each, without end.
const FIELDS: (&str, &str, &str) = (
    "event-fields",
    r#"(import "wasi:http/types@0.2.0" "[constructor]fields" (func $fields (result i32)))
       (import "wasi:http/types@0.2.0" "[method]fields.append" (func $append (param i32 i32 i32 i32 i32 i32)))
       (data (i32.const 600) "x")"#,
    r#"(memory.fill (i32.const 2048) (i32.const 97) (i32.const 1000))
       (loop $ever
         (local.set $s (call $fields))
         (loop $more
           (call $append (local.get $s) (i32.const 600) (i32.const 1) (i32.const 2048) (i32.const 1000) (i32.const 64))
           (br_if $more (i32.rem_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 7))))
         (br $ever))
       (unreachable)"#,
);

/// Sets a method of 4 KiB, and one of 100 KB; the digits are 1 and the result of each.
const METHOD: (&str, &str, &str) = (
    "event-method",
    r#"(import "wasi:http/types@0.2.0" "[constructor]fields" (func $fields (result i32)))
       (import "wasi:http/types@0.2.0" "[constructor]outgoing-request" (func $request (param i32) (result i32)))
       (import "wasi:http/types@0.2.0" "[method]outgoing-request.set-method" (func $method (param i32 i32 i32 i32) (result i32)))"#,
    r#"(memory.fill (i32.const 2048) (i32.const 97) (i32.const 100000))
       (local.set $s (call $request (call $fields)))
       (call $digits (i32.add
         (i32.mul (i32.const 10) (i32.add (i32.const 1) (call $method (local.get $s) (i32.const 9) (i32.const 2048) (i32.const 4096))))
         (call $method (local.get $s) (i32.const 9) (i32.const 2048) (i32.const 100000))))"#,
);

/// All components, by name.
pub fn all() -> Vec<(&'static str, Vec<u8>)> {
    let http = HTTP_GUESTS.iter().map(|(name, code)| (*name, component("http", &http_module(code))));
    let events = EVENT_GUESTS.iter().chain([&FETCH, &GET, &TMP, &DEEP, &FIELDS, &METHOD]);
    let events = events.map(|(name, items, code)| (*name, component("event", &event_module(items, code))));
    http.chain(events).collect()
}

/// One of them.
pub fn one(name: &str) -> Vec<u8> {
    all().into_iter().find(|(known, _)| *known == name).expect("a guest of this name").1
}

fn http_module(code: &str) -> String {
    format!(
        r#"(module {HTTP_IMPORTS} {COMMON} {HTTP}
  (data (i32.const 1024) "hello world\n")
  (func (export "wasi:http/incoming-handler@0.2.0#handle") (param $in i32) (param $out i32)
    (local $s i32) (local $from i32)
    {code}))"#
    )
}

fn event_module(items: &str, code: &str) -> String {
    // Imports come first.
    let (imports, rest): (Vec<&str>, Vec<&str>) =
        items.lines().map(str::trim).partition(|line| line.starts_with("(import"));
    let (imports, rest) = (imports.join("\n"), rest.join("\n"));
    // One memory, and no more than one.
    let common = match rest.contains("(memory") {
        true => COMMON.replacen(MEMORY, "", 1),
        false => COMMON.to_owned(),
    };
    format!(
        r#"(module {imports} {common} {rest} {EVENT}
  (func $handle (export "lambent:function/handler@0.1.0#handle") (param $p i32) (result i32)
    (local $s i32) (local $n i32)
    {code}))"#
    )
}

fn component(world: &str, module: &str) -> Vec<u8> {
    let mut module = wat::parse_str(module).expect("a module by hand");
    let mut resolve = Resolve::default();
    resolve
        .push_str("function.wit", include_str!("../../../../crates/compute/wasm/wit/function.wit"))
        .expect("our world");
    let package = resolve.push_str("guests.wit", include_str!("../guests.wit")).expect("the guests' worlds");
    let world = resolve.select_world(&[package], Some(world)).expect("one of the two");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("metadata");
    let encoder = ComponentEncoder::default().module(&module).expect("a module of this world");
    encoder.validate(true).encode().expect("a component")
}
