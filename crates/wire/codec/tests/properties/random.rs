//! Shapes and values made of random bytes. Shrinking the bytes shrinks the shape and the value.

use bytes::Bytes;
use lambent_wire::codec::Value;
use lambent_wire::{Kind, Member, Shape, Timestamp, TimestampFormat};

/// How deep random shapes nest.
const DEPTH_MAX: usize = 3;

/// Random decisions; all zero when the bytes are used up.
pub struct Entropy<'a>(pub std::slice::Iter<'a, u8>);

impl Entropy<'_> {
    fn byte(&mut self) -> u8 {
        self.0.next().copied().unwrap_or_default()
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == one_in - 1
    }

    fn long(&mut self) -> i64 {
        let bytes = std::array::from_fn(|_| self.byte());
        i64::from_be_bytes(bytes)
    }

    fn text(&mut self) -> String {
        const PIECES: &[&str] = &[
            "a", "Z", "0", " ", ".", "-", "+", "%", "&", "<", ">", "\"", "'", "\\", "/", "=", ";", ",", "\n",
            "\r", "\t", "é", "€", "😹", "]]>", "\u{2028}", "&amp;", "%41", "\\u0041", "true", "entry",
            "\u{7f}",
        ];
        (0..self.below(6)).map(|_| PIECES[self.below(PIECES.len())]).collect()
    }

    fn double(&mut self) -> f64 {
        const DOUBLES: &[f64] = &[
            0.0,
            -0.0,
            1.0,
            -1.5,
            0.1,
            1e300,
            5e-324,
            f64::MAX,
            f64::MIN,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            123_456_789.123_456_79,
            1e-7,
            9_007_199_254_740_993.0,
        ];
        DOUBLES[self.below(DOUBLES.len())]
    }
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

pub fn structure(entropy: &mut Entropy<'_>, depth: usize) -> &'static Shape {
    let mut members = Vec::new();
    for index in 0..entropy.below(5) {
        let name: &'static str = leak(format!("Member{index}"));
        let target = shape(entropy, depth + 1);
        let mut member = Member::new(name, target);
        if entropy.chance(3) {
            member = member.named(leak(format!("renamed-{index}")));
        }
        match target.kind {
            Kind::List(_) | Kind::Map(..) if entropy.chance(2) => member = member.flattened(),
            Kind::String | Kind::Long | Kind::Boolean if entropy.chance(4) => member = member.xml_attribute(),
            _ => {}
        }
        members.push(member);
    }
    leak(Shape::new("Structure", Kind::Structure(Vec::leak(members))))
}

fn shape(entropy: &mut Entropy<'_>, depth: usize) -> &'static Shape {
    let kinds = if depth < DEPTH_MAX { 11 } else { 8 };
    let kind = match entropy.below(kinds) {
        0 => Kind::String,
        1 => Kind::Long,
        2 => Kind::Boolean,
        3 => Kind::Double,
        4 => Kind::Blob,
        5 => Kind::Integer,
        6 => Kind::Document,
        7 => {
            let time = Shape::new("Time", Kind::Timestamp);
            return leak(match entropy.below(4) {
                0 => time,
                1 => time.timestamp_format(TimestampFormat::UnixTimestamp),
                2 => time.timestamp_format(TimestampFormat::Iso8601),
                _ => time.timestamp_format(TimestampFormat::Rfc822),
            });
        }
        8 => return structure(entropy, depth),
        9 => Kind::List(leak(element("member", entropy, depth))),
        _ => Kind::Map(
            leak(Member::new("key", leak(Shape::new("Key", Kind::String)))),
            leak(element("value", entropy, depth)),
        ),
    };
    leak(Shape::new("Shape", kind))
}

fn element(name: &'static str, entropy: &mut Entropy<'_>, depth: usize) -> Member {
    let member = Member::new(name, shape(entropy, depth + 1));
    if entropy.chance(3) { member.named("item") } else { member }
}

pub fn value(shape: &'static Shape, entropy: &mut Entropy<'_>) -> Value {
    match shape.kind {
        Kind::Structure(members) | Kind::Union(members) => {
            let mut values = Vec::new();
            for (index, member) in members.iter().enumerate() {
                if !entropy.chance(4) {
                    values.push((index, value(member.target, entropy)));
                }
            }
            Value::Structure(values)
        }
        Kind::List(element) => {
            Value::List((0..entropy.below(4)).map(|_| value(element.target, entropy)).collect())
        }
        Kind::Map(_, element) => {
            let count = entropy.below(4);
            Value::Map(
                (0..count)
                    .map(|at| (format!("{}{at}", entropy.text()), value(element.target, entropy)))
                    .collect(),
            )
        }
        Kind::Enum(_) | Kind::String => Value::String(entropy.text()),
        Kind::Blob => Value::Blob((0..entropy.below(5)).map(|_| entropy.byte()).collect::<Bytes>()),
        Kind::Boolean => Value::Boolean(entropy.chance(2)),
        Kind::Integer => Value::Long(entropy.long() >> 32),
        Kind::Long => Value::Long(entropy.long()),
        Kind::Float | Kind::Double => Value::Double(entropy.double()),
        Kind::Timestamp => {
            // Up to the year 2106; HTTP dates have no fractions.
            let micros = entropy.long().rem_euclid(1 << 52);
            let whole = shape.timestamp_format == Some(TimestampFormat::Rfc822);
            Value::Timestamp(Timestamp(if whole { micros / 1_000_000 * 1_000_000 } else { micros }))
        }
        Kind::Document => Value::Document(match entropy.below(3) {
            0 => serde_json::json!({ entropy.text(): [1, null, true] }),
            1 => serde_json::json!(entropy.text()),
            _ => serde_json::json!(entropy.long()),
        }),
    }
}
