//! What a caller's tracing header says to the function that is called.
//! Source: AWS X-Ray Developer Guide, "X-Ray concepts", "Tracing header".

use lambent_base::{Random, text};

/// Hexadecimal digits of the two parts of a trace's id: when it began, and what tells it from others.
const ROOT_DIGITS: [usize; 2] = [8, 24];
const PARENT_DIGITS: usize = 16;

/// The header that goes on: the caller's trace, and its segment and its decision to sample where it names them. `None`
/// when the caller's header names no trace.
pub(crate) fn carried(header: &str, random: &Random) -> Option<String> {
    let field = |name: &str| {
        let pairs = header.split(';').filter_map(|pair| pair.split_once('='));
        pairs.map(|(key, value)| (key.trim(), value.trim())).find(|(key, _)| *key == name).map(|pair| pair.1)
    };
    let root = field("Root").filter(|root| is_root(root))?;
    let parent = field("Parent").filter(|parent| is_hex(parent, PARENT_DIGITS));
    let parent = parent.map_or_else(|| text::hex(&random.bytes::<8>()), str::to_owned);
    let sampled = field("Sampled").filter(|sampled| matches!(*sampled, "0" | "1"));
    let sampled = sampled.map(|sampled| format!(";Sampled={sampled}")).unwrap_or_default();
    Some(format!("Root={root};Parent={parent}{sampled}"))
}

/// A header for what nobody traces yet; whether it is sampled is the called function's to decide.
pub(crate) fn begun(unix_s: i64, random: &Random) -> String {
    let digits = text::hex(&random.bytes::<20>());
    let (root, parent) = digits.split_at(ROOT_DIGITS[1]);
    format!("Root=1-{unix_s:08x}-{root};Parent={parent}")
}

fn is_root(text: &str) -> bool {
    let Some(("1", id)) = text.split_once('-') else { return false };
    id.split_once('-')
        .is_some_and(|(time, rest)| is_hex(time, ROOT_DIGITS[0]) && is_hex(rest, ROOT_DIGITS[1]))
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "Root=1-5759e988-bd862e3fe1be46a994272793";

    #[test]
    fn a_trace_goes_on_as_it_came() {
        let random = Random::seeded(1);
        for sampled in ["0", "1"] {
            let header = format!("{ROOT};Parent=53995c3f42cd8ad8;Sampled={sampled}");
            assert_eq!(carried(&header, &random).as_deref(), Some(&header[..]));
            let more = format!("Self=1-0; {header} ;Lineage=a:0");
            assert_eq!(
                carried(&more, &random).as_deref(),
                Some(&header[..]),
                "what else it says stays behind"
            );
        }
    }

    #[test]
    fn what_a_header_leaves_out_is_made_up() {
        let made = carried(ROOT, &Random::seeded(1)).unwrap();
        let parent = made.strip_prefix(ROOT).and_then(|rest| rest.strip_prefix(";Parent=")).unwrap();
        assert!(is_hex(parent, PARENT_DIGITS), "{made}: who did not decide leaves that to the function");
        let odd = format!("{ROOT};Parent=\tno;Sampled=?");
        assert!(!carried(&odd, &Random::seeded(2)).unwrap().contains("Sampled"));
    }

    #[test]
    fn what_begins_can_be_carried_on() {
        let random = Random::seeded(3);
        let begun = begun(1_659_687_279, &random);
        assert_eq!(carried(&begun, &random).as_deref(), Some(&begun[..]));
    }

    #[test]
    fn headers_without_a_trace_say_nothing() {
        for header in
            ["", "Root=", "Root=1-5759e988", "Root=2-5759e988-bd862e3fe1be46a994272793", "Parent=1", "x"]
        {
            assert_eq!(carried(header, &Random::seeded(1)), None, "{header}");
        }
    }
}
